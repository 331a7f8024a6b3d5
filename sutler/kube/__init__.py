"""The one adapter between us and the Kubernetes API. Nothing else imports kubernetes_asyncio."""
