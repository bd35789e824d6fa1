"""What a map can be written as, by the ending of the file; reading the table loads none of the writers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MapFormat:
    """One kind of file.

    Attributes:
        title: What a button says.
        line: One sentence: what the file is good for.
        media_type: For a browser.
        place: `module:function` of its writer, which takes the map and a file open for bytes.
    """

    title: str
    line: str
    media_type: str
    place: str


MAP_FORMATS: dict[str, MapFormat] = {
    ".csv": MapFormat(
        title="Points (CSV)",
        line="A table with a row a point: image, class, place on every map, neighbours.",
        media_type="text/csv; charset=utf-8",
        place="engine.export.maps:write_csv",
    ),
    ".parquet": MapFormat(
        title="Points (Parquet)",
        line="The same table for pandas, Polars or DuckDB, with the types of its columns.",
        media_type="application/vnd.apache.parquet",
        place="engine.export.maps:write_parquet",
    ),
    ".npz": MapFormat(
        title="Arrays (NPZ)",
        line="Positions and neighbours as NumPy arrays in full precision.",
        media_type="application/octet-stream",
        place="engine.export.maps:write_arrays",
    ),
    ".html": MapFormat(
        title="Web page (HTML)",
        line="All maps with their images in one file that opens without a network.",
        media_type="text/html; charset=utf-8",
        place="engine.export.map_html:write_html",
    ),
    ".svg": MapFormat(
        title="Drawing (SVG)",
        line="All maps for print, sharp at any size and open to every drawing program.",
        media_type="image/svg+xml",
        place="engine.export.map_svg:write_svg",
    ),
    ".png": MapFormat(
        title="Picture (PNG)",
        line="The same drawing as pixels, for a slide or a page.",
        media_type="image/png",
        place="engine.export.map_svg:write_png",
    ),
    ".zip": MapFormat(
        title="TensorBoard (zip)",
        line="A folder for TensorBoard's embedding projector, with the original space and the images.",
        media_type="application/zip",
        place="engine.export.map_tensorboard:write_projector",
    ),
}
