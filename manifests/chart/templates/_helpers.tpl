{{- /* The image of all processes. */ -}}
{{- define "sutler.image" -}}
{{- $image := .Values.image -}}
{{- $name := ternary (printf "%s/%s" $image.registry $image.repository) $image.repository (ne $image.registry "") -}}
{{- if $image.digest }}{{ $name }}@{{ $image.digest }}{{ else }}{{ $name }}:{{ $image.tag | default .Chart.AppVersion }}{{ end }}
{{- end -}}

{{- /* Pull secrets of Sutler's own Pods. */ -}}
{{- define "sutler.imagePullSecrets" -}}
{{- $names := list -}}
{{- range concat .Values.imagePullSecrets .Values.global.imagePullSecrets -}}
{{- $names = append $names (ternary . (dict "name" .) (kindIs "map" .)) -}}
{{- end -}}
{{- with uniq $names }}
{{- toYaml (dict "imagePullSecrets" .) }}
{{- end }}
{{- end -}}

{{- /* Fields of a Pod's spec that decide where it runs, and who pulls its image. Takes (list $ "webhook"). */ -}}
{{- define "sutler.scheduling" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $own := index $root.Values $name -}}
{{- $fields := include "sutler.imagePullSecrets" $root | fromYaml -}}
{{- $priority := ternary "" $root.Values.priorityClassName (eq $name "api") -}}
{{- with $own.priorityClassName | default $priority }}{{ $_ := set $fields "priorityClassName" . }}{{ end -}}
{{- with merge (dict) $own.nodeSelector $root.Values.nodeSelector }}{{ $_ := set $fields "nodeSelector" . }}{{ end -}}
{{- with concat $root.Values.tolerations $own.tolerations | uniq }}{{ $_ := set $fields "tolerations" . }}{{ end -}}
{{- with $own.affinity | default $root.Values.affinity }}{{ $_ := set $fields "affinity" . }}{{ end -}}
{{- with $fields }}{{ toYaml . }}{{ end }}
{{- end -}}

{{- define "sutler.podAnnotations" -}}
{{- $root := index . 0 -}}
{{- with merge (dict) (index $root.Values (index . 1)).podAnnotations $root.Values.podAnnotations }}{{ toYaml . }}{{ end }}
{{- end -}}

{{- define "sutler.podLabels" -}}
{{- $root := index . 0 -}}
{{- with merge (dict) (index $root.Values (index . 1)).podLabels $root.Values.podLabels }}{{ toYaml . }}{{ end }}
{{- end -}}

{{- define "sutler.extraArgs" -}}
{{- $root := index . 0 -}}
{{- with concat $root.Values.extraArgs (index $root.Values (index . 1)).extraArgs }}{{ toYaml . }}{{ end }}
{{- end -}}

{{- /* Each variable once: the process's own replaces one of all processes. */ -}}
{{- define "sutler.extraEnv" -}}
{{- $root := index . 0 -}}
{{- $variables := list -}}
{{- $own := (index $root.Values (index . 1)).extraEnv -}}
{{- $names := list -}}
{{- range $own }}{{ $names = append $names .name }}{{ end -}}
{{- range $root.Values.extraEnv }}{{ if not (has .name $names) }}{{ $variables = append $variables . }}{{ end }}{{ end -}}
{{- with concat $variables $own }}{{ toYaml . }}{{ end }}
{{- end -}}

{{- /* A volume's name of at most 63 characters for any clusterID. */ -}}
{{- define "sutler.clusterVolume" -}}
cluster-{{ . | sha256sum | trunc 16 }}
{{- end -}}

{{- /* Reports all mistakes in the values at once. */ -}}
{{- define "sutler.validate" -}}
{{- $root := . -}}
{{- $wrong := list -}}
{{- range $name, $instead := include "sutler.foreign.values" . | fromYaml -}}
{{- $at := $root.Values -}}
{{- range splitList "." $name -}}
{{- $at = ternary (index (ternary $at (dict) (kindIs "map" $at)) .) nil (kindIs "map" $at) -}}
{{- end -}}
{{- if not (kindIs "invalid" $at) }}{{ $wrong = append $wrong (printf "%s is not a value of Sutler: use %s" $name $instead) }}{{ end -}}
{{- end -}}
{{- range $name, $instead := include "sutler.foreign.lists" . | fromYaml -}}
{{- if kindIs "slice" (index $root.Values $name) }}{{ $wrong = append $wrong (printf "%s is a section of Sutler and no list: use %s" $name $instead) }}{{ end -}}
{{- end -}}
{{- if .Chart.IsRoot -}}
{{- range $name, $instead := include "sutler.foreign.globals" . | fromYaml -}}
{{- if hasKey $root.Values.global $name }}{{ $wrong = append $wrong (printf "global.%s is not a value of Sutler: use %s" $name $instead) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if not $wrong -}}
{{- $version := .Capabilities.KubeVersion.Version -}}
{{- if and .Values.csi.enabled .Values.inTree.enabled }}{{ $wrong = append $wrong "csi.enabled and inTree.enabled both create StorageClass rbd: enable one of them" }}{{ end -}}
{{- if and .Values.modern.enabled (semverCompare "<1.30-0" $version) }}{{ $wrong = append $wrong (printf "modern.enabled needs Kubernetes 1.30 or newer, and the cluster has %s: use podDisruptionBudget.enabled instead" $version) }}{{ end -}}
{{- if and .Values.podDisruptionBudget.enabled (semverCompare "<1.21-0" $version) }}{{ $wrong = append $wrong (printf "podDisruptionBudget.enabled needs Kubernetes 1.21 or newer, and the cluster has %s" $version) }}{{ end -}}
{{- range $process := list "webhook" "secrets" "volumes" "api" "tokens" -}}
{{- range tuple "app.kubernetes.io/name" "app.kubernetes.io/component" "app.kubernetes.io/part-of" -}}
{{- if or (hasKey $root.Values.podLabels .) (hasKey (index $root.Values $process).podLabels .) }}{{ $wrong = append $wrong (printf "%s.podLabels sets %s, by which Sutler finds its Pods: use another label" $process .) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with $wrong }}{{ fail (printf "\n- %s\n" (join "\n- " .)) }}{{ end -}}
{{- end -}}
