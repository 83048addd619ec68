"""Xero's own Python client against the stand-in of Xero. See README.md in this folder."""

import datetime
import json
import os
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

from xero_python.accounting import AccountingApi
from xero_python.api_client import ApiClient
from xero_python.api_client.configuration import Configuration
from xero_python.api_client.oauth2 import OAuth2Token, TokenApi
from xero_python.exceptions import HTTPStatusException
from xero_python.file import FilesApi
from xero_python.finance import FinanceApi
from xero_python.identity import IdentityApi

BASE = sys.argv[1].rstrip("/") if len(sys.argv) > 1 else "http://127.0.0.1:8000"
CLIENT, SECRET, BACK = "sandbox-app", "sandbox-secret", "http://localhost:8089/callback"
SCOPES = (
    "openid profile email offline_access accounting.settings.read accounting.banktransactions.read "
    "accounting.attachments.read accounting.reports.profitandloss.read accounting.reports.balancesheet.read "
    "accounting.reports.trialbalance.read accounting.reports.banksummary.read files.read finance.bankstatementsplus.read"
).split()


class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def first_token():
    """The code flow; xero-python leaves it to the application. The stand-in's consent page agrees at once."""
    ask = {"response_type": "code", "client_id": CLIENT, "redirect_uri": BACK, "scope": " ".join(SCOPES), "state": "s"}
    try:
        urllib.request.build_opener(Stay).open(f"{BASE}/identity/connect/authorize?{urllib.parse.urlencode(ask)}")
        raise AssertionError("the consent page did not redirect")
    except urllib.error.HTTPError as answer:
        back = urllib.parse.parse_qs(urllib.parse.urlparse(answer.headers["location"]).query)
    form = {"grant_type": "authorization_code", "code": back["code"][0], "redirect_uri": BACK,
            "client_id": CLIENT, "client_secret": SECRET}
    token = json.load(urllib.request.urlopen(f"{BASE}/connect/token", urllib.parse.urlencode(form).encode()))
    return token | {"scope": token["scope"].split(), "expires_at": time.time() + token["expires_in"]}


def client(token):
    kept = {"token": token}
    api = ApiClient(Configuration(oauth2_token=OAuth2Token(client_id=CLIENT, client_secret=SECRET)), pool_threads=1)
    api.oauth2_token_getter(lambda: kept["token"])
    api.oauth2_token_saver(lambda new: kept.update(token=new))
    return api, kept


def refused(status, call):
    try:
        call()
    except HTTPStatusException as error:
        assert error.status == status, error
        return
    raise AssertionError(f"not refused with {status}")


def sign_in():
    # The three addresses of the identity service are constants of the class.
    for name, path in (("client_credentials_token_url", "token"), ("refresh_token_url", "token"), ("revoke_token_url", "revocation")):
        setattr(TokenApi, name, f"{BASE}/connect/{path}")
    token = first_token()
    api, kept = client(token)
    api.refresh_oauth2_token()
    assert kept["token"]["refresh_token"] != token["refresh_token"], "a refresh token is single-use"
    # An expired access token is renewed by the client itself, before the call.
    kept["token"]["expires_at"] = 0
    before = kept["token"]["access_token"]
    IdentityApi(api, base_url=BASE).get_connections()
    assert kept["token"]["access_token"] != before
    return api


def books(api, tenant, since, until):
    accounting = AccountingApi(api, base_url=f"{BASE}/api.xro/2.0")
    organisation = accounting.get_organisations(tenant).organisations[0]
    users = accounting.get_users(tenant).users
    assert users and all(u.user_id and u.email_address and u.organisation_role for u in users), users
    banks = accounting.get_accounts(tenant, where='Type=="BANK"').accounts
    assert banks and all(a.bank_account_number for a in banks), banks
    lines = accounting.get_bank_transactions(tenant, page=1, page_size=100, where='Status=="AUTHORISED"').bank_transactions
    assert lines and all(t.date and t.total is not None for t in lines)
    day = {"from_date": since, "to_date": until}
    for call, args in (
        (accounting.get_report_profit_and_loss, day | {"standard_layout": True}),
        (accounting.get_report_balance_sheet, {"date": until, "standard_layout": True}),
        (accounting.get_report_trial_balance, {"date": until}),
        (accounting.get_report_bank_summary, day),
    ):
        report = call(tenant, **args).reports[0]
        assert report.rows, call
    attached = [t for t in lines if t.has_attachments]
    for transaction in attached[:3]:
        for a in accounting.get_bank_transaction_attachments(tenant, transaction.bank_transaction_id).attachments:
            content = accounting.get_bank_transaction_attachment_by_id(
                tenant, transaction.bank_transaction_id, a.attachment_id, a.mime_type
            )
            assert os.path.getsize(content) == a.content_length, (content, a)
    finance = FinanceApi(api, base_url=f"{BASE}/finance.xro/1.0")
    statements = finance.get_bank_statement_accounting(tenant, banks[0].account_id, since, until)
    assert statements.bank_account_id == banks[0].account_id, statements
    return organisation.name, len(users), len(lines), len(attached)


def files(api, tenant):
    service = FilesApi(api, base_url=f"{BASE}/files.xro/1.0")
    listed = service.get_files(tenant, pagesize=100, page=1)
    for one in listed.items:
        assert os.path.getsize(service.get_file_content(tenant, one.id)) == one.size, one
    return len(listed.items)


def main():
    api = sign_in()
    last = datetime.date.today().replace(day=1) - datetime.timedelta(days=1)
    first = last.replace(day=1)
    organisations = [c for c in IdentityApi(api, base_url=BASE).get_connections() if c.tenant_type == "ORGANISATION"]
    assert organisations
    for one in organisations:
        name, users, lines, attached = books(api, one.tenant_id, first.isoformat(), last.isoformat())
        print(f"  {name}: {users} users, {lines} bank transactions, {attached} with attachments, {files(api, one.tenant_id)} files")
    stranger = "00000000-0000-4000-8000-00000000dead"
    refused(403, lambda: AccountingApi(api, base_url=f"{BASE}/api.xro/2.0").get_users(stranger))
    api.revoke_oauth2_token()
    print(f"Xero: all good, {len(organisations)} organisations")


tempfile.tempdir = tempfile.mkdtemp()  # the client keeps what it downloads
main()
