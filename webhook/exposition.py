"""The metrics of several processes in one text, each sample labelled by its worker. Pure."""

from collections.abc import Mapping


def merged(texts: Mapping[str, str]) -> bytes:
    """Of Prometheus' text format, by worker. All samples of a metric have to stand together, so they are sorted in."""
    families: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for worker, text in texts.items():
        family = ""
        for line in text.splitlines():
            if line.startswith("# HELP "):
                family = line.split(" ", 3)[2]
                families.setdefault(family, [line])
                samples.setdefault(family, [])
            elif line.startswith("#"):
                if line not in families[family]:
                    families[family].append(line)
            elif line:
                samples[family].append(_labelled(line, worker))
    return "".join(f"{line}\n" for family, heads in families.items() for line in (*heads, *samples[family])).encode()


def _labelled(sample: str, worker: str) -> str:
    """`name{a="b"} 1` or `name 1`. Neither a brace nor a space can stand in a name."""
    brace, space = sample.find("{"), sample.find(" ")
    if 0 <= brace < space:
        return f'{sample[: brace + 1]}worker="{worker}",{sample[brace + 1 :]}'
    return f'{sample[:space]}{{worker="{worker}"}}{sample[space:]}'
