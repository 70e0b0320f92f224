"""Downloads of the challenge's data, from a server with faults."""

from __future__ import annotations

import functools
import hashlib
import http.server
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

from sklearn_rcrnn.datasets import (
    fetch,
    fetch_dcase2017_rare,
    load_dcase2017_rare,
)
from sklearn_rcrnn.datasets.fetch import _fetch_all, _Part


class RangeHandler(http.server.SimpleHTTPRequestHandler):
    """A file server that honours range requests and notes them."""

    ranges: list
    refused = 0
    most: int | None = None
    endless = False
    sent_all = False

    def do_GET(self):
        data = Path(self.translate_path(self.path)).read_bytes()
        asked = self.headers.get("Range")
        type(self).ranges.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if len(self.ranges) <= self.refused:
            self.send_error(503)
            return
        if start >= len(data):
            self.send_error(416)
            return
        self.send_response(206 if asked else 200)
        if self.endless:
            self.end_headers()
            for _ in range(2000):
                self.wfile.write(bytes(1 << 16))
            type(self).sent_all = True
            return
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        # A connection that breaks after so many bytes.
        self.wfile.write(data[start:][: self.most])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(root, tmp_path):
    """Small archives of the same structure as Zenodo's, served on this machine."""
    name = "TUT-rare-sound-events-2017-development"
    folder = tmp_path / "server"
    folder.mkdir()
    files = []
    for part in ("source_data/bgs", "source_data/events", "source_data/cv_setup"):
        file = f"{part.replace('/', '_')}.zip"
        with zipfile.ZipFile(folder / f"{name}.{file}", "w") as archive:
            for path in (root / "data" / part).rglob("*.*"):
                archive.write(path, f"{name}/{path.relative_to(root)}")
        data = (folder / f"{name}.{file}").read_bytes()
        files.append((file, len(data), hashlib.md5(data).hexdigest()))
    RangeHandler.ranges = []
    handler = functools.partial(RangeHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{httpd.server_address[1]}/"
        yield {"development": (name, url, files)}, folder
        httpd.shutdown()


def test_fetch_unpacks_once_and_resumes(server, tmp_path, capsys):
    packages, folder = server
    name, _url, files = packages["development"]
    target = tmp_path / "target"
    fetch_dcase2017_rare(target, packages=packages, dry_run=True)
    assert "3 files" in capsys.readouterr().out
    assert not target.exists()
    # As if a first run had been cut short in the first archive.
    target.mkdir()
    first = f"{name}.{files[0][0]}"
    (target / f"{first}.part").write_bytes((folder / first).read_bytes()[:1000])
    fetch_dcase2017_rare(target, packages=packages, verbose=0)
    assert RangeHandler.ranges == ["bytes=1000-", None, None]
    assert len(load_dcase2017_rare(target, "devtest", mixtures_per_class=2).X) == 6
    assert not list(target.glob("*.zip"))
    fetch_dcase2017_rare(target, packages=packages, verbose=0)
    assert len(RangeHandler.ranges) == 3


class TestDownload:
    """One file of 100 kB, from servers with faults."""

    @pytest.fixture
    def part(self, tmp_path):
        data = np.random.default_rng(0).bytes(100_000)
        (tmp_path / "served").write_bytes(data)

        class Handler(RangeHandler):
            ranges = []

        handler = functools.partial(Handler, directory=tmp_path)
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
            threading.Thread(target=httpd.serve_forever, daemon=True).start()
            url = f"http://127.0.0.1:{httpd.server_address[1]}/served"
            yield _Part(url, tmp_path / "file.part", len(data)), data, Handler
            httpd.shutdown()

    def test_connections_that_break(self, part):
        part, data, handler = part
        handler.most = 30_000
        _fetch_all(part, progress=False)
        assert part.path.read_bytes() == data
        assert 3 < len(handler.ranges) < 10
        assert handler.ranges[1] != handler.ranges[2]

    @pytest.mark.parametrize("refused", [2, 3])
    def test_a_server_that_is_busy(self, refused, part, monkeypatch):
        part, data, handler = part
        monkeypatch.setattr(fetch, "_PAUSE", 0.0)
        handler.refused = refused
        part.path.write_bytes(data[:500])
        if refused < 3:
            _fetch_all(part, progress=False)
            assert part.path.read_bytes() == data
        else:
            with pytest.raises(OSError, match=r"500 of 100000 bytes \(503 .*download goes on"):
                _fetch_all(part, progress=False)

    def test_stops_at_the_known_size(self, part):
        part, _, handler = part
        handler.endless = True
        _fetch_all(part, progress=False)
        assert part.path.stat().st_size == part.size
        assert not handler.sent_all

    def test_what_is_there_already_is_not_asked_for(self, part):
        part, data, handler = part
        part.path.write_bytes(data)
        _fetch_all(part, progress=False)
        assert handler.ranges == []

    def test_more_than_there_should_be(self, part):
        part, data, handler = part
        part.path.write_bytes(data + b"more")
        _fetch_all(part, progress=False)
        assert part.path.read_bytes() == data
        assert handler.ranges == [None]

    def test_a_file_that_is_shorter_there(self, part):
        """416: what is here cannot be its beginning."""
        part, data, _ = part
        longer = part._replace(size=200_000)
        longer.path.write_bytes(bytes(150_000))
        with pytest.raises(OSError, match="stopped after 100000 of 200000 bytes"):
            _fetch_all(longer, progress=False)
        assert part.path.read_bytes() == data

    def test_nothing_comes(self, part):
        part, _, handler = part
        handler.most = 0
        with pytest.raises(OSError, match=r"0 of 100000 bytes.*repeated, the download goes on"):
            _fetch_all(part, progress=False)
        assert len(handler.ranges) == 3


def test_two_processes_fetch_once(server, tmp_path):
    packages, _ = server
    threads = [
        threading.Thread(
            target=fetch_dcase2017_rare, args=(tmp_path / "t",), kwargs={"packages": packages}
        )
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(RangeHandler.ranges) == 3


def test_fetch_refuses_a_wrong_checksum(server, tmp_path):
    packages, _ = server
    name, url, files = packages["development"]
    wrong = {"development": (name, url, [(files[0][0], files[0][1], "0" * 32)])}
    with pytest.raises(ValueError, match="hash"):
        fetch_dcase2017_rare(tmp_path / "target", packages=wrong, verbose=0)
    with pytest.raises(ValueError, match="subset"):
        fetch_dcase2017_rare(tmp_path, "other")
