"""Makes table.parquet with pyarrow: python3 -m venv venv && venv/bin/pip install pyarrow && venv/bin/python make_parquet.py

Nothing is random: the same version gives the same bytes.
"""
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 5000
texts = [None if i % 7 == 3 else f"row {i} \u00f6" for i in range(ROWS)]
coded = [None if i % 7 == 3 else f"row {i % 11} \u00f6" for i in range(ROWS)]
table = pa.table({
    "id": pa.array(range(ROWS), pa.int64()),
    "text": pa.array(texts, pa.string()),
    "large": pa.array(texts, pa.large_string()),
    "coded": pa.array(coded).dictionary_encode(),
    "list": pa.array([["a"]] * ROWS, pa.list_(pa.string())),
})
pq.write_table(table, pathlib.Path(__file__).parent / "table.parquet", row_group_size=1500, compression="zstd",
               use_dictionary=["coded"], store_schema=True)
