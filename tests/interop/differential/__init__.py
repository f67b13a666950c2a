"""The same bootstrap and the same bytes to two proxies; what they answer, and what their origins saw, must be equal."""
