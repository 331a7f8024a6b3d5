"""A registry's host of each source."""

HOSTS = {
    "ecr": "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
    "ecrPublic": "public.ecr.aws",
    "artifactRegistry": "europe-docker.pkg.dev",
    "acr": "acme.azurecr.io",
    "aliyun": "registry.cn-hangzhou.aliyuncs.com",
    "enterprise": "acme-registry.cn-hangzhou.cr.aliyuncs.com",
}
