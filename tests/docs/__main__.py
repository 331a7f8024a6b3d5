"""`python -m tests.docs` writes the generated tables in docs/."""

from tests.docs import tables

if __name__ == "__main__":
    for name, table in tables.TABLES.items():
        (tables.FOLDER / name).write_text(table())
        print(f"docs/{name} written")
