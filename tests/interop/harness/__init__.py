"""What every suite shares: the two proxies, scripted origins, raw clients, certificates."""
