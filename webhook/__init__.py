"""Admission: one AdmissionReview in, one JSON Patch of imagePullSecrets out. Stateless, never in the way of a Pod."""
