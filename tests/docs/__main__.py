"""`python -m tests.docs`: write the tables in docs/ that follow from the code."""

from tests.docs import tables

if __name__ == "__main__":
    for name, table in tables.TABLES.items():
        (tables.FOLDER / name).write_text(table())
        print(f"docs/{name} written")
