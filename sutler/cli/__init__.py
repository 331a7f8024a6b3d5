"""The commands of `sutler`. Each module or package has an `app`; sutler.cli.main names them."""
