"""Who may do what with a view's table: readers see their company's rows, projectors all, nobody else any.

A table that is marked secret has the sign-in as its only reader.
"""

from collections.abc import Iterator

READER, WRITER, SEARCHER, SIGN_IN = "erp_reader", "erp_writer", "erp_search", "erp_sign_in"

#: Null where no company is named, and `''` after a transaction that named one: neither equals any company.
NAMED_COMPANY = "nullif(current_setting('erp.company', true), '')"


def protections(schema: str, table: str, *, searched: bool = False, reader: str = READER) -> Iterator[str]:
    """Statements that put a table with a `company_id` under row-level security.

    `searched` lets the owner of search functions read it; these name the company themselves.
    """
    name = f'"{schema}"."{table}"'
    yield f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY"
    yield f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY"
    yield f"CREATE POLICY own_company ON {name} FOR SELECT TO {reader} USING (company_id = {NAMED_COMPANY})"
    yield f"CREATE POLICY projector ON {name} TO {WRITER} USING (true) WITH CHECK (true)"
    yield f"GRANT SELECT ON {name} TO {reader}"
    yield f"GRANT SELECT, INSERT, UPDATE, DELETE ON {name} TO {WRITER}"
    if searched:
        yield f"CREATE POLICY searched ON {name} FOR SELECT TO {SEARCHER} USING (true)"
        yield f"GRANT SELECT ON {name} TO {SEARCHER}"
