"""The one adapter between Sutler and the Kubernetes API. Nothing else imports kubernetes_asyncio."""
