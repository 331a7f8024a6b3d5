"""What comes in and goes out: each definition validates, serialises and describes itself in the OpenAPI document."""
