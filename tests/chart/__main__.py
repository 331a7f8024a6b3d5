"""`python -m tests.chart` writes the generated files of manifests/chart."""

from tests.chart.files import CHART, write
from tests.cluster import binaries

if __name__ == "__main__":
    binaries.first_on_path()
    write()
    print(f"{CHART} written")
