"""`sutler support-dump`: what a bug report needs, without secrets."""
