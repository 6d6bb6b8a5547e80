"""What the loopback Hub answers on which route: a function a route, and the table of them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote

import hub_card_rules
from hub_repos import ORGANISATION, USER, Discussion, File, Refused, Repo, git_oid, moment

if TYPE_CHECKING:
    from hub import Exchange

Answer = Callable[[], None]


def _whoami(on: Exchange, body: bytes) -> Answer:
    if on.user() is None:
        raise Refused(401, "Invalid username or password.")
    organisations = [{"type": "org", "name": ORGANISATION, "roleInOrg": "write"}]
    access = {"type": "access_token", "accessToken": {"displayName": "loopback", "role": "write"}}
    return on.answer({"type": "user", "id": "1", "name": USER, "orgs": organisations, "auth": access})


def _create(on: Exchange, body: bytes) -> Answer:
    value = json.loads(body)
    user = on.user()
    if user is None:
        raise Refused(401, "Invalid username or password.")
    owner = value.get("organization") or user
    if owner not in (USER, ORGANISATION):
        raise Refused(403, f"you have no rights to create a repository under {owner}")
    kind, name = f"{value.get('type', 'model')}s", f"{owner}/{value['name']}"
    url = f"{on.hub.url}/{'' if kind == 'models' else kind + '/'}{name}"
    if (kind, name) in on.hub.repos:
        return on.answer({"error": "You already created this repo", "url": url}, 409)
    private = value.get("visibility") == "private" or bool(value.get("private"))
    on.hub.repos[kind, name] = Repo(kind, name, owner, private)
    return on.answer({"url": url, "name": name, "id": name})


def _delete(on: Exchange, body: bytes) -> Answer:
    value = json.loads(body)
    kind, name = f"{value.get('type', 'model')}s", f"{value.get('organization') or USER}/{value['name']}"
    on.repo(kind, name, write=True)
    del on.hub.repos[kind, name]
    return on.answer({})


def _settings(on: Exchange, body: bytes, kind: str, repo: str) -> Answer:
    found, value = on.repo(kind, repo, write=True), json.loads(body)
    found.private = value.get("visibility", "private" if value.get("private", found.private) else "public") == "private"
    return on.answer({"private": found.private})


def _list(on: Exchange, body: bytes, kind: str) -> Answer:
    user = on.user()
    names = [name for (type_, name), repo in on.hub.repos.items() if type_ == kind and (user or not repo.private)]
    return on.answer([{"id": name, "private": on.hub.repos[kind, name].private} for name in names])


def _info(on: Exchange, body: bytes, kind: str, repo: str, revision: str = "main") -> Answer:
    found = on.repo(kind, repo)
    commit = found.at(revision)
    return on.answer(
        {
            "_id": "1",
            "id": repo,
            "author": repo.split("/")[0],
            "sha": commit.id,
            "private": found.private,
            "gated": False,
            "disabled": False,
            "tags": [],
            "downloads": 0,
            "likes": 0,
            "lastModified": moment(commit.number),
            "createdAt": moment(0),
            "siblings": [_sibling(path, file, "blobs" in on.query) for path, file in sorted(commit.files.items())],
        }
    )


def _sibling(path: str, file: File, blobs: bool) -> dict[str, Any]:
    if not blobs:
        return {"rfilename": path}
    entry = file.entry(path)
    found = {"rfilename": path, "size": entry["size"], "blobId": entry["oid"]}
    return {**found, "lfs": {**entry["lfs"], "sha256": file.sha256}} if file.lfs else found


def _tree(on: Exchange, body: bytes, kind: str, repo: str, revision: str, path: str = "") -> Answer:
    files = on.repo(kind, repo).at(revision).files
    prefix = f"{path.strip('/')}/" if path.strip("/") else ""
    recursive = on.query.get("recursive", "false").lower() in ("true", "1")
    entries: dict[str, dict[str, Any]] = {}
    for name, file in sorted(files.items()):
        if not name.startswith(prefix):
            continue
        parts = name.removeprefix(prefix).split("/")
        for depth in range(1, len(parts) if recursive else min(2, len(parts))):
            folder = prefix + "/".join(parts[:depth])
            entries[folder] = {"type": "directory", "oid": git_oid(folder.encode()), "size": 0, "path": folder}
        if recursive or len(parts) == 1:
            entries[name] = file.entry(name)
    if prefix and not entries:
        raise Refused(404, f"{path} does not exist on {revision}", "EntryNotFound")
    start, size = int(on.query.get("cursor", "0")), 50 if on.query.get("expand", "").lower() == "true" else 1000
    page = list(entries.values())[start : start + size]
    headers = {}
    if start + size < len(entries):
        rest = "&".join(f"{key}={quote(value)}" for key, value in on.query.items() if key != "cursor")
        headers["Link"] = f'<{on.hub.url}{on.route}?{rest}&cursor={start + size}>; rel="next"'
    return on.answer(page, headers=headers)


def _paths_info(on: Exchange, body: bytes, kind: str, repo: str, revision: str) -> Answer:
    files = on.repo(kind, repo).at(revision).files
    if "json" in on.headers.get("Content-Type", ""):
        paths = json.loads(body)["paths"]
    else:
        paths = parse_qs(body.decode()).get("paths", [])
    entries = []
    for path in paths:
        if path in files:
            entries.append(files[path].entry(path))
        elif any(name.startswith(f"{path}/") for name in files):
            entries.append({"type": "directory", "oid": git_oid(path.encode()), "size": 0, "path": path})
    return on.answer(entries)


def _refs(on: Exchange, body: bytes, kind: str, repo: str) -> Answer:
    found = on.repo(kind, repo)

    def listed(refs: dict[str, str], prefix: str) -> list[dict[str, str]]:
        return [{"name": name, "ref": prefix + name, "targetCommit": id_} for name, id_ in refs.items()]

    branches, tags = listed(found.branches, "refs/heads/"), listed(found.tags, "refs/tags/")
    requests = listed(found.pull_requests, "")
    return on.answer({"branches": branches, "converts": [], "tags": tags, "pullRequests": requests})


def _commits(on: Exchange, body: bytes, kind: str, repo: str, revision: str) -> Answer:
    found = on.repo(kind, repo)
    id_: str | None = found.at(revision).id
    entries = []
    while id_ is not None:
        commit = found.commits[id_]
        authors = [{"user": commit.author}]
        entries.append(
            {
                "id": id_,
                "title": commit.title,
                "message": commit.message,
                "date": moment(commit.number),
                "authors": authors,
            }
        )
        id_ = commit.parent
    return on.answer(entries)


def _branch(on: Exchange, body: bytes, kind: str, repo: str, name: str) -> Answer:
    found = on.repo(kind, repo, write=True)
    if name.startswith("refs/"):
        raise Refused(400, f"Invalid reference for a branch: {name}")
    if on.command == "DELETE":
        del found.branches[name]
    elif name in found.branches:
        raise Refused(409, f"the branch {name} exists already")
    else:
        found.branches[name] = found.at(json.loads(body or b"{}").get("startingPoint") or "main").id
    return on.answer({})


def _tag(on: Exchange, body: bytes, kind: str, repo: str, name: str) -> Answer:
    found = on.repo(kind, repo, write=True)
    if on.command == "DELETE":
        del found.tags[name]
    else:  # the URL names the revision, the body the tag
        found.tags[json.loads(body)["tag"]] = found.at(name).id
    return on.answer({})


def _described(on: Exchange, repo: Repo, found: Discussion) -> dict[str, Any]:
    return {
        "num": found.number,
        "title": found.title,
        "status": found.status,
        "author": {"name": found.author},
        "createdAt": moment(found.number),
        "isPullRequest": found.is_pull_request,
        "repo": {"name": repo.name, "type": repo.kind.removesuffix("s")},
        "events": found.events,
        "changes": {"base": "refs/heads/main"},
        "filesWithConflicts": [],
        "diff": "",
    }


def _discussions(on: Exchange, body: bytes, kind: str, repo: str) -> Answer:
    found = on.repo(kind, repo)
    if on.command == "POST":
        user, value = on.user(), json.loads(body)
        if user is None:
            raise Refused(401, "Invalid username or password.")
        pull = bool(value.get("pullRequest"))
        opened = found.discuss(value["title"], value["description"], user, pull, "draft" if pull else "open")
        return on.answer({"num": opened.number, "pullRequest": pull})
    wanted = [
        item
        for item in reversed(found.discussions)
        if on.query.get("author") in (None, item.author)
        and on.query.get("type") in (None, "all", "pull_request" if item.is_pull_request else "discussion")
        and (on.query.get("status") in (None, "all") or (on.query["status"] == "closed") == (item.status in _ENDED))
    ]
    start = 10 * int(on.query.get("p", "0"))
    page = [_described(on, found, item) for item in wanted[start : start + 10]]
    return on.answer({"count": len(wanted), "start": start, "discussions": page})


_ENDED = ("closed", "merged")


def _discussion(on: Exchange, body: bytes, kind: str, repo: str, number: str) -> Answer:
    found = on.repo(kind, repo)
    return on.answer(_described(on, found, _numbered(found, number)))


def _numbered(repo: Repo, number: str) -> Discussion:
    if not 1 <= int(number) <= len(repo.discussions):
        raise Refused(404, "no such discussion")
    return repo.discussions[int(number) - 1]


def _change_discussion(on: Exchange, body: bytes, kind: str, repo: str, number: str, what: str) -> Answer:
    found = on.repo(kind, repo, write=what == "merge")
    discussion, user = _numbered(found, number), on.user()
    if user is None:
        raise Refused(401, "Invalid username or password.")
    value = json.loads(body) if body else {}
    if what == "comment":
        return on.answer({"newMessage": found.comment(discussion, value["comment"], user)})
    if what == "merge":
        if discussion.status == "draft":
            raise Refused(400, "a draft cannot be merged")
        found.merge(discussion)
        return on.answer({})
    discussion.status = value["status"]
    event = {"id": "0", "type": "status-change", "createdAt": moment(0), "author": {"name": user}, "data": value}
    return on.answer({"newStatus": event})


def _validate(on: Exchange, body: bytes) -> Answer:
    value = json.loads(body)
    errors, warnings = hub_card_rules.problems(value["content"], value.get("repoType", "model"))
    on.hub.validated.append(value["content"])
    answer = {key: [{"message": line} for line in lines] for key, lines in (("errors", errors), ("warnings", warnings))}
    return on.answer(answer, 400 if errors else 200)


def _may_write(on: Exchange, kind: str, repo: str, revision: str) -> Repo:
    request = revision.startswith("refs/pr/") or on.query.get("create_pr") == "1"
    if request and on.user() is None:
        raise Refused(401, "Invalid username or password.")
    return on.repo(kind, repo, write=not request)


def _preupload(on: Exchange, body: bytes, kind: str, repo: str, revision: str) -> Answer:
    found = _may_write(on, kind, repo, revision)
    files = found.at(revision).files
    if len(asked := json.loads(body)["files"]) > 256:
        raise Refused(413, "too many files in one request")
    answers = [
        {
            "path": item["path"],
            "uploadMode": found.upload_mode(item["path"], item["size"]),
            "shouldIgnore": False,
            "oid": files[item["path"]].etag if item["path"] in files else None,
        }
        for item in asked
    ]
    return on.answer({"files": answers})


def _commit(on: Exchange, body: bytes, kind: str, repo: str, revision: str) -> Answer:
    found, user = _may_write(on, kind, repo, revision), on.user()
    if user is None:
        raise Refused(401, "Invalid username or password.")
    if on.hub.commits >= on.hub.commits_an_hour:
        headers = {"RateLimit": '"commits";r=0;t=1', "RateLimit-Policy": '"fixed window";"commits";q=128;w=3600'}
        on.hub.commits = 0  # the next hour
        return on.answer({"error": "too many commits"}, 429, headers)
    on.hub.commits += 1
    lines = [json.loads(line) for line in body.splitlines() if line.strip()]
    for line in lines[1:]:
        if line["key"] == "file" and line["value"]["path"] == "README.md":
            errors, _ = hub_card_rules.problems(
                base64.b64decode(line["value"]["content"]).decode(), kind.removesuffix("s")
            )
            if errors:
                raise Refused(400, "; ".join(errors))
    answer = found.commit(revision, lines, user, on.query.get("create_pr") == "1")
    if over := found.folders_over(on.hub.folder_limit):
        raise Refused(400, f"too many files in {over[0] or 'the root'}")
    return on.answer({key: f"{on.hub.url}{value}" if "Url" in key else value for key, value in answer.items()})


def _lfs_batch(on: Exchange, body: bytes, repo: str, kind: str = "models") -> Answer:
    value = json.loads(body)
    if on.user() is None:
        raise Refused(401, "Invalid username or password.")
    found = on.repo(kind.strip("/"), repo)
    answers = []
    for item in value["objects"]:
        answer: dict[str, Any] = {"oid": item["oid"], "size": item["size"]}
        if item["oid"] not in found.objects:
            base = f"{kind.strip('/')}/{repo}/{item['oid']}"
            upload: dict[str, Any] = {"href": f"{on.hub.storage}/storage/{base}"}
            if on.hub.part_size and item["size"] > on.hub.part_size:
                count = -(-item["size"] // on.hub.part_size)
                parts = {str(part + 1): f"{on.hub.storage}/parts/{base}/{part + 1}" for part in range(count)}
                upload = {
                    "href": f"{on.hub.url}/complete/{base}",
                    "header": {"chunk_size": str(on.hub.part_size), **parts},
                }
            prefix = "" if kind == "models" else kind
            verify = {"href": f"{on.hub.url}/{prefix}{repo}.git/info/lfs/objects/verify"}
            answer["actions"] = {"upload": upload, "verify": verify}
        answers.append(answer)
    return on.answer({"transfer": "basic", "objects": answers})


def _stored(on: Exchange, kind: str, repo: str, oid: str, content: bytes) -> None:
    if hashlib.sha256(content).hexdigest() != oid:
        raise Refused(400, "the content is not what its SHA-256 says")
    on.hub.repos[kind, repo].objects[oid] = content
    on.hub.uploads[oid] += 1


def _store(on: Exchange, body: bytes, kind: str, repo: str, oid: str) -> Answer:
    _stored(on, kind, repo, oid, body)
    return lambda: on.send(b"")


def _part(on: Exchange, body: bytes, kind: str, repo: str, oid: str, part: str) -> Answer:
    on.hub.parts[oid, int(part)] = body
    return lambda: on.send(b"", headers={"ETag": f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'})


def _complete(on: Exchange, body: bytes, kind: str, repo: str, oid: str) -> Answer:
    numbers = [item["partNumber"] for item in json.loads(body)["parts"]]
    _stored(on, kind, repo, oid, b"".join(on.hub.parts.pop((oid, number)) for number in numbers))
    return on.answer({})


def _verify(on: Exchange, body: bytes, repo: str, kind: str = "models") -> Answer:
    value = json.loads(body)
    if len(on.repo(kind.strip("/"), repo).objects.get(value["oid"], b"")) != value["size"]:
        raise Refused(404, "this object did not arrive")
    return on.answer({})


def _resolve(on: Exchange, body: bytes, repo: str, revision: str, path: str, kind: str = "models") -> Answer:
    found = on.repo(kind.strip("/"), repo)
    commit, file = found.at(revision), found.file(revision, path)
    headers = {"X-Repo-Commit": commit.id, "ETag": f'"{file.etag}"', "Accept-Ranges": "bytes"}
    if file.lfs:
        headers |= {"X-Linked-Etag": f'"{file.sha256}"', "X-Linked-Size": str(len(file.content))}
        headers["Location"] = f"{on.hub.storage}/cdn/{kind.strip('/')}/{repo}/{file.sha256}"
        return lambda: on.send(b"", 302, headers)
    return lambda: _ranged(on, file.content, headers)


def _cdn(on: Exchange, body: bytes, kind: str, repo: str, oid: str) -> Answer:
    if "Authorization" in on.headers:
        raise Refused(400, "a token has no business here")
    content = on.hub.repos[kind, repo].objects[oid]
    return lambda: _ranged(on, content, {"ETag": f'"{oid}"', "Accept-Ranges": "bytes"})


def _ranged(on: Exchange, content: bytes, headers: dict[str, str]) -> None:
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", on.headers.get("Range", ""))
    if not found:
        return on.send(content, 200, headers)
    first, last = found.groups()
    start = int(first) if first else max(len(content) - int(last), 0)
    end = min(int(last), len(content) - 1) if first and last else len(content) - 1
    if start > end:
        return on.send(b"", 416, {**headers, "Content-Range": f"bytes */{len(content)}"})
    return on.send(content[start : end + 1], 206, {**headers, "Content-Range": f"bytes {start}-{end}/{len(content)}"})


_KIND = r"(?P<kind>models|datasets|spaces)"
_REPO = r"(?P<repo>[^/]+/[^/]+)"
_API = rf"/api/{_KIND}/{_REPO}"
_REVISION = r"(?P<revision>[^/]+|refs/pr/\d+)"
_STORED = rf"{_KIND}/{_REPO}/(?P<oid>[0-9a-f]{{64}})"
ROUTES: tuple[tuple[str, str, Callable[..., Answer]], ...] = (
    ("GET", "/api/whoami-v2", _whoami),
    ("POST", "/api/repos/create", _create),
    ("DELETE", "/api/repos/delete", _delete),
    ("POST", "/api/validate-yaml", _validate),
    ("GET", rf"/api/{_KIND}", _list),
    ("GET", _API, _info),
    ("GET", rf"{_API}/revision/{_REVISION}", _info),
    ("GET", rf"{_API}/tree/{_REVISION}(?:/(?P<path>.*))?", _tree),
    ("POST", rf"{_API}/paths-info/{_REVISION}", _paths_info),
    ("GET", rf"{_API}/refs", _refs),
    ("GET", rf"{_API}/commits/{_REVISION}", _commits),
    ("PUT", rf"{_API}/settings", _settings),
    ("POST|DELETE", rf"{_API}/branch/(?P<name>[^/]+)", _branch),
    ("POST|DELETE", rf"{_API}/tag/(?P<name>[^/]+)", _tag),
    ("GET|POST", rf"{_API}/discussions", _discussions),
    ("GET", rf"{_API}/discussions/(?P<number>\d+)", _discussion),
    ("POST", rf"{_API}/discussions/(?P<number>\d+)/(?P<what>comment|merge|status)", _change_discussion),
    ("POST", rf"{_API}/preupload/{_REVISION}", _preupload),
    ("POST", rf"{_API}/commit/{_REVISION}", _commit),
    ("POST", rf"/(?P<kind>datasets/|spaces/)?{_REPO}\.git/info/lfs/objects/batch", _lfs_batch),
    ("POST", rf"/(?P<kind>datasets/|spaces/)?{_REPO}\.git/info/lfs/objects/verify", _verify),
    ("PUT", rf"/storage/{_STORED}", _store),
    ("PUT", rf"/parts/{_STORED}/(?P<part>\d+)", _part),
    ("POST", rf"/complete/{_STORED}", _complete),
    ("GET|HEAD", rf"/cdn/{_STORED}", _cdn),
    ("GET|HEAD", rf"/(?P<kind>datasets/|spaces/)?{_REPO}/resolve/{_REVISION}/(?P<path>.+)", _resolve),
)
