"""The adapter to the Kubernetes API. Only this package imports kubernetes_asyncio."""
