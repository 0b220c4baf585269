"""Describes a release in Croissant 1.0 (mlcommons.org/croissant): files, tables, typed columns.

Takes the Arrow schemas and the files' digests, gives the JSON-LD text; the video files, which are
not in a release, are described by the record set `media`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import pyarrow as pa

from earshot.schemas.base import sha256_hex
from earshot.schemas.release import FileEntry
from earshot.tasks.publish_release.diff import stored_at

Json: TypeAlias = "str | bool | list[Json] | dict[str, Json] | None"

FORMAT = "application/x-parquet"

_CONTEXT: dict[str, Json] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def describe(
    name: str,
    version: str,
    licence: str,
    date: str,
    description: str,
    schemas: Mapping[str, pa.Schema],
    files: Sequence[FileEntry],
) -> str:
    """Return the text of `croissant.json`.

    Args:
        name: of the dataset.
        version: major.minor.patch, as Croissant wants it.
        licence: as configured.
        date: ISO date of the publication.
        description: one sentence.
        schemas: Arrow schema of each table; tables without a file are left out.
        files: entries of the Parquet files.
    """
    by_table = {table: _files_of(table, files) for table in schemas}
    sources = {table: found for table, found in by_table.items() if found}
    document: dict[str, Json] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": name,
        "version": version,
        "license": licence,
        "datePublished": date,
        "description": description,
        "citeAs": f"{name} {version}, made with earshot",
        "url": "./",
        "distribution": [
            part for table, found in sources.items() for part in _distribution(table, found)
        ],
        "recordSet": [_record_set(table, schemas[table]) for table in sources],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _files_of(table: str, files: Sequence[FileEntry]) -> list[FileEntry]:
    return [
        file for file in files if file.rows is not None and file.path.startswith(stored_at(table))
    ]


def _distribution(table: str, files: Sequence[FileEntry]) -> list[Json]:
    """Return one object a file, and for a folder of shards the set that a reader joins."""
    objects: list[Json] = [
        {
            "@type": "cr:FileObject",
            "@id": file.path,
            "name": file.path,
            "contentUrl": file.path,
            "contentSize": f"{file.bytes} B",
            "encodingFormat": FORMAT,
            "sha256": file.sha256,
        }
        for file in files
    ]
    return [*objects, *_folder(table, files)] if _is_sharded(table) else objects


def _folder(table: str, files: Sequence[FileEntry]) -> list[Json]:
    """Return a folder as an object, and the set of its shards.

    A reader joins files only out of a container, and mlcroissant knows one container that it does
    not unpack: a repository, which may be a local folder. Its sha256 is over the shards' digests,
    in order of their paths.
    """
    where = stored_at(table)
    digests = "".join(file.sha256 for file in files)
    return [
        {
            "@type": "cr:FileObject",
            "@id": where,
            "name": where,
            "contentUrl": where,
            "encodingFormat": "git+https",
            "sha256": sha256_hex(digests.encode()),
        },
        {
            "@type": "cr:FileSet",
            "@id": f"{table}-files",
            "containedIn": {"@id": where},
            "encodingFormat": FORMAT,
            "includes": "*/*.parquet",
        },
    ]


def _is_sharded(table: str) -> bool:
    return stored_at(table).endswith("/")


def _record_set(table: str, schema: pa.Schema) -> Json:
    return {
        "@type": "cr:RecordSet",
        "@id": table,
        "name": table,
        "field": [_field(table, field) for field in schema],
    }


def _field(table: str, column: pa.Field) -> Json:
    described: dict[str, Json] = {"@type": "cr:Field", "@id": f"{table}/{column.name}"}
    inner, is_list = _unlisted(column.type)
    if is_list:
        described["repeated"] = True
    if pa.types.is_struct(inner):
        described["subField"] = [
            _sub_field(table, column, inner.field(index)) for index in range(inner.num_fields)
        ]
        return described
    return {**described, "dataType": _data_type(inner), "source": _source(table, column.name)}


def _sub_field(table: str, column: pa.Field, part: pa.Field) -> Json:
    inner, is_list = _unlisted(part.type)
    path = f"[*].{part.name}" if pa.types.is_list(column.type) else part.name
    described: dict[str, Json] = {
        "@type": "cr:Field",
        "@id": f"{table}/{column.name}/{part.name}",
        "dataType": _data_type(inner),
        "source": {**_source(table, column.name), "transform": {"jsonPath": path}},
    }
    return {**described, "repeated": True} if is_list else described


def _source(table: str, column: str) -> dict[str, Json]:
    extract: Json = {"column": column}
    if _is_sharded(table):
        return {"fileSet": {"@id": f"{table}-files"}, "extract": extract}
    return {"fileObject": {"@id": stored_at(table)}, "extract": extract}


def _unlisted(kind: pa.DataType) -> tuple[pa.DataType, bool]:
    return (kind.value_type, True) if pa.types.is_list(kind) else (kind, False)


def _data_type(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    if pa.types.is_integer(kind):
        return "sc:Integer"
    if pa.types.is_floating(kind):
        return "sc:Float"
    if pa.types.is_timestamp(kind):
        return "sc:DateTime"
    return "sc:Text"
