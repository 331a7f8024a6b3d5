"""The admission webhook: it answers an AdmissionReview with a JSON Patch of imagePullSecrets, and rejects no Pod."""
