"""In which order files of tests are given to workers: what takes longest first, so that none of it is left over."""

# A minute and more each, on two cores, the longest first.
LONGEST = ()


def rank(file: str, started: int) -> tuple[int, int]:
    """To sort by. `started`: how many of its tests start something, which take longer than others."""
    return (LONGEST.index(file) if file in LONGEST else len(LONGEST), -started)
