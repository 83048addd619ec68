"""Google's own Python client against the stand-in of Drive. See README.md in this folder."""

import base64
import hashlib
import io
import json
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
import uuid
from pathlib import Path

import google.auth.transport.requests
from google.oauth2 import service_account
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError
from googleapiclient.http import BatchHttpRequest, MediaIoBaseDownload, MediaIoBaseUpload

BASE = sys.argv[1].rstrip("/") if len(sys.argv) > 1 else "http://127.0.0.1:8001"
KEY = Path(__file__).parents[2] / "fixtures/google-drive/service-account.json"
DRIVE = "https://www.googleapis.com/auth/drive"
FOLDER = "application/vnd.google-apps.folder"


class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def location(url):
    """Where the consent page sends the browser: the stand-in agrees at once."""
    try:
        urllib.request.build_opener(Stay).open(url)
    except urllib.error.HTTPError as answer:
        return urllib.parse.parse_qs(urllib.parse.urlparse(answer.headers["location"]).query)
    raise AssertionError("the consent page did not redirect")


def control(verb, args=None):
    request = urllib.request.Request(f"{BASE}/_sandbox/{verb}", json.dumps(args or {}).encode(), method="POST")
    return json.load(urllib.request.urlopen(request))


def user_credentials():
    """The code flow of a desktop app, and one refresh by google-auth."""
    verifier = "v" * 64
    digest = hashlib.sha256(verifier.encode()).digest()
    ask = {
        "client_id": "sandbox-drive-client", "redirect_uri": "http://localhost:8089/callback", "response_type": "code",
        "scope": DRIVE, "access_type": "offline", "prompt": "consent", "state": "s",
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), "code_challenge_method": "S256",
    }
    answer = location(f"{BASE}/o/oauth2/v2/auth?{urllib.parse.urlencode(ask)}")
    assert answer["state"] == ["s"], answer
    form = {
        "client_id": ask["client_id"], "client_secret": "sandbox-drive-client-word", "code": answer["code"][0],
        "code_verifier": verifier, "grant_type": "authorization_code", "redirect_uri": ask["redirect_uri"],
    }
    tokens = json.load(urllib.request.urlopen(f"{BASE}/token", urllib.parse.urlencode(form).encode()))
    credentials = Credentials(
        None, refresh_token=tokens["refresh_token"], token_uri=f"{BASE}/token", client_id=form["client_id"],
        client_secret=form["client_secret"], scopes=[DRIVE],
    )
    credentials.refresh(google.auth.transport.requests.Request())
    assert credentials.token and credentials.token != tokens["access_token"]
    return credentials


def service_credentials():
    info = json.loads(KEY.read_text()) | {"token_uri": f"{BASE}/token"}
    return service_account.Credentials.from_service_account_info(info, scopes=[DRIVE], subject="ledgers@harbour.example")


def client(credentials):
    # `api_endpoint` moves the API; uploads and batches are addressed by the discovery document's rootUrl, see `moved`.
    options = {"api_endpoint": f"{BASE}/drive/v3/"}
    return build("drive", "v3", credentials=credentials, static_discovery=True, client_options=options)


def moved(request):
    request.uri = re.sub("^https?://[^/]*", BASE, request.uri)
    return request


def refused(status, request):
    try:
        request.execute()
    except HttpError as error:
        assert error.status_code == status, (error.status_code, error)
        return error
    raise AssertionError(f"{request.uri} was not refused with {status}")


def folders(drive):
    mark = uuid.uuid4().hex
    body = {"name": "Py", "mimeType": FOLDER, "appProperties": {"py": mark}}
    folder = drive.files().create(body=body, fields="*").execute()
    query = f"appProperties has {{key='py' and value='{mark}'}} and trashed=false"
    found = drive.files().list(q=query, fields="files(id,name,permissions(emailAddress,role)),nextPageToken").execute()
    assert [f["id"] for f in found["files"]] == [folder["id"]], found
    refused(400, drive.files().list(q="nonsense ~ 'x'"))
    refused(404, drive.files().get(fileId="nope"))
    return folder["id"]


def pages(drive, folder):
    names = {f"n{i}" for i in range(7)}
    for name in names:
        drive.files().create(body={"name": name, "mimeType": FOLDER, "parents": [folder]}).execute()
    seen, request = [], drive.files().list(q=f"'{folder}' in parents", pageSize=3, fields="files(name),nextPageToken")
    while request is not None:
        answer = request.execute()
        seen += [f["name"] for f in answer["files"]]
        request = drive.files().list_next(request, answer)
    assert sorted(seen) == sorted(names), seen


def permissions(drive, folder):
    api = drive.permissions()
    body = {"type": "user", "role": "reader", "emailAddress": "bob@harbour.example"}
    made = api.create(fileId=folder, body=body, sendNotificationEmail=False, fields="*").execute()
    assert made["role"] == "reader" and made["emailAddress"] == "bob@harbour.example", made
    assert made["id"] in [p["id"] for p in api.list(fileId=folder, fields="*").execute()["permissions"]]
    assert api.update(fileId=folder, permissionId=made["id"], body={"role": "writer"}).execute()["role"] == "writer"
    assert api.delete(fileId=folder, permissionId=made["id"]).execute() == ""
    refused(404, api.delete(fileId=folder, permissionId=made["id"]))
    assert made["id"] not in [p["id"] for p in api.list(fileId=folder).execute()["permissions"]]


def uploads(drive, folder):
    data = bytes(range(256)) * 4096 * 3
    for resumable, size in ((False, 1000), (True, len(data))):
        media = MediaIoBaseUpload(io.BytesIO(data[:size]), "application/pdf", chunksize=1 << 20, resumable=resumable)
        fields = "id,size,md5Checksum,sha256Checksum,headRevisionId"
        request = moved(drive.files().create(body={"name": "x.pdf", "parents": [folder]}, media_body=media, fields=fields))
        if resumable:
            # Drive may take less of a piece than was sent; the client goes on where Drive says.
            control("partial_pieces", {"count": 2})
            made, pieces = None, 0
            while made is None:
                _, made = request.next_chunk()
                pieces += 1
            assert pieces > 3, pieces
        else:
            made = request.execute()
        assert made["md5Checksum"] == hashlib.md5(data[:size]).hexdigest(), made
        assert made["sha256Checksum"] == hashlib.sha256(data[:size]).hexdigest(), made
        out = io.BytesIO()
        download, done = MediaIoBaseDownload(out, drive.files().get_media(fileId=made["id"])), False
        while not done:
            _, done = download.next_chunk()
        assert out.getvalue() == data[:size]
    media = MediaIoBaseUpload(io.BytesIO(b"new"), "application/pdf")
    changed = moved(drive.files().update(fileId=made["id"], media_body=media, fields="size,headRevisionId")).execute()
    assert changed["size"] == "3" and changed["headRevisionId"] != made["headRevisionId"], changed


def the_rest(drive, folder):
    assert drive.about().get(fields="user,storageQuota").execute()["user"]["emailAddress"] == "ledgers@harbour.example"
    assert len(drive.files().generateIds(count=2, space="drive", type="files").execute()["ids"]) == 2
    for shared in drive.drives().list().execute()["drives"]:
        assert drive.drives().get(driveId=shared["id"], fields="*").execute()["name"] == shared["name"]
    start = drive.changes().getStartPageToken().execute()["startPageToken"]
    drive.files().update(fileId=folder, body={"name": "Py2"}).execute()
    changes = drive.changes().list(pageToken=start, fields="*").execute()
    assert folder in [c["fileId"] for c in changes["changes"]] and changes["newStartPageToken"] != start, changes
    told = {}
    batch = BatchHttpRequest(callback=lambda i, answer, error: told.update({i: error or answer}), batch_uri=f"{BASE}/batch/drive/v3")
    batch.add(drive.files().get(fileId=folder), request_id="there")
    batch.add(drive.files().get(fileId="nope"), request_id="missing")
    batch.execute()
    assert told["there"]["id"] == folder and told["missing"].status_code == 404, told
    refused(400, drive.files().list(pageSize=5000))
    drive.files().delete(fileId=folder).execute()
    refused(404, drive.files().get(fileId=folder))


for word, credentials in (("a person's sign-in", user_credentials()), ("a service account", service_credentials())):
    drive = client(credentials)
    folder = folders(drive)
    for step in (pages, permissions, uploads, the_rest):
        step(drive, folder)
    print(f"Drive with {word}: all good")
