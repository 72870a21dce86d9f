"""Where bytes come from and go to: addresses, proxies, TLS, and one network adapter for each style."""
