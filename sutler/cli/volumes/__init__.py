"""`sutler volumes`: claims, their volumes and the images behind them."""
