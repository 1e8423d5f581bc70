"""What PostgreSQL's catalogues say of the tables, in the form of the contract's `schema.json`."""

from collections import Counter
from typing import Any

from django.db.backends.utils import CursorWrapper

# Columns of every table of the schema; identity columns too.
LIST_COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull, a.attidentity <> '',
       pg_get_expr(d.adbin, d.adrelid)
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'
ORDER BY c.relname, a.attnum
"""

# Foreign keys with their columns in order; deferrable: checked at the end of the transaction.
LIST_FOREIGN_KEYS = """
SELECT c.relname, r.relname, k.condeferrable AND k.condeferred, k.convalidated,
       (SELECT array_agg(a.attname::text ORDER BY u.ord)
        FROM unnest(k.conkey) WITH ORDINALITY AS u(num, ord)
        JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num)
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_class r ON r.oid = k.confrelid
WHERE c.relnamespace = current_schema()::regnamespace AND k.contype = 'f'
ORDER BY c.relname, k.conname
"""

# Every usable index, one row per index: keys, their operator classes and options, predicate.
LIST_INDEXES = """
SELECT c.relname, i.indisprimary, i.indisunique, i.indimmediate, m.amname, pg_get_expr(i.indpred, i.indrelid),
       i.indnatts > i.indnkeyatts,
       array_agg(pg_get_indexdef(i.indexrelid, n, true) ORDER BY n),
       array_agg(o.opcname::text ORDER BY n),
       array_agg(i.indoption[n - 1]::integer ORDER BY n)
FROM pg_index i
JOIN pg_class c ON c.oid = i.indrelid AND c.relkind = 'r'
JOIN pg_class x ON x.oid = i.indexrelid
JOIN pg_am m ON m.oid = x.relam
CROSS JOIN LATERAL generate_series(1, i.indnkeyatts) AS n
JOIN pg_opclass o ON o.oid = i.indclass[n - 1]
WHERE c.relnamespace = current_schema()::regnamespace AND i.indisvalid
GROUP BY c.relname, i.indexrelid, i.indrelid, i.indisprimary, i.indisunique, i.indimmediate, m.amname,
         i.indnatts, i.indnkeyatts, pg_get_expr(i.indpred, i.indrelid)
ORDER BY c.relname, i.indexrelid
"""

Schema = dict[str, dict[str, Any]]


def read_schema(cursor: CursorWrapper) -> Schema:
    """All tables of the current schema. What `schema.json` has no word for (a server default, a descending
    key, another access method) is written out too, so that it shows as a difference."""
    schema: Schema = {}
    cursor.execute(LIST_COLUMNS)
    for table, name, column_type, nullable, identity, default in cursor.fetchall():
        entry = schema.setdefault(
            table, {"columns": [], "primary_key": [], "foreign_keys": [], "unique": [], "indexes": []}
        )
        column = {"name": name, "type": column_type, "nullable": nullable}
        if identity:
            column["identity"] = True
        if default is not None:
            column["default"] = default
        entry["columns"].append(column)
    cursor.execute(LIST_FOREIGN_KEYS)
    for table, references, deferrable, validated, columns in cursor.fetchall():
        foreign_key = {"columns": columns, "references": references, "deferrable": deferrable}
        if not validated:
            foreign_key["not_valid"] = True
        schema[table]["foreign_keys"].append(foreign_key)
    cursor.execute(LIST_INDEXES)
    for row in cursor.fetchall():
        table, primary, unique, immediate, method, predicate, covering, keys, classes, options = row
        described = [
            key if option == 0 else f"{key} option {option}" for key, option in zip(keys, options, strict=True)
        ]
        if any(name.endswith("_pattern_ops") for name in classes):
            described.append("pattern_ops")
        if predicate is not None:
            described.append(f"WHERE {predicate}")
        if method != "btree":
            described.append(f"USING {method}")
        if covering:
            described.append("INCLUDE")
        if not immediate:
            described.append("DEFERRABLE")
        kind = "primary_key" if primary else "unique" if unique else "indexes"
        if primary:
            schema[table][kind] = described
        else:
            schema[table][kind].append(described)
    return schema


def list_differences(expected: Schema, actual: Schema) -> list[str]:
    """One line per difference, the table first; empty when every expected table is there exactly.

    Tables beyond the expected ones, names of constraints and the order of columns do not matter.
    """
    differences: list[str] = []
    for table, wanted in expected.items():
        found = actual.get(table)
        if found is None:
            differences.append(f"{table}: missing")
            continue
        differences += [f"{table}: {line}" for line in _list_column_differences(wanted, found)]
        if wanted["primary_key"] != found["primary_key"]:
            differences.append(f"{table}: primary key: expected {wanted['primary_key']}, found {found['primary_key']}")
        for kind in ("foreign_keys", "unique", "indexes"):
            want = Counter(map(_describe, wanted[kind]))
            have = Counter(map(_describe, found[kind]))
            differences += [f"{table}: {kind}: missing {item}" for item in sorted((want - have).elements())]
            differences += [f"{table}: {kind}: unexpected {item}" for item in sorted((have - want).elements())]
    return differences


def _list_column_differences(wanted: dict[str, Any], found: dict[str, Any]) -> list[str]:
    want = {column["name"]: column for column in wanted["columns"]}
    have = {column["name"]: column for column in found["columns"]}
    lines = [f"column {name}: missing" for name in want if name not in have]
    lines += [f"column {name}: unexpected" for name in have if name not in want]
    for name in want.keys() & have.keys():
        if want[name] != have[name]:
            lines.append(f"column {name}: expected {_describe(want[name])}, found {_describe(have[name])}")
    return sorted(lines)


def _describe(item: Any) -> str:
    if isinstance(item, dict):
        return ", ".join(f"{key} {value}" for key, value in sorted(item.items()) if key != "name")
    return f"({', '.join(item)})"
