#!/usr/bin/env python3
"""A ledgerward connector for an imaginary ledger, Harbour Books. Copy it, and put your vendor's paths and fields in.

GET /companies?page=1        {"companies": [{"id", "title"}], "next_page": 2 or null}
GET /companies/ID            {"company": {"id", "title", "currency", "year_end": "03-31"}}
GET /companies/ID/members    {"company": ID, "members": [{"id", "mail", "full_name", "level", "state"}], "next_page": ...}
"""
import json
import sys


def get(path):
    """One answer of the vendor, by way of the host. Whatever is not a good answer never comes back here."""
    print(json.dumps({"http": {"path": path}}), flush=True)
    return json.loads(json.loads(sys.stdin.readline())["answer"]["body"])


def page(path, cursor, key, row, company=None):
    data = get(f"{path}?page={cursor or 1}")
    if company is not None and str(data["company"]) != company:
        raise ValueError("another company's answer")  # Its people would get this client's folder.
    following = data["next_page"]  # A KeyError ends the program: no answer is better than a short one.
    if not isinstance(data[key], list):
        raise TypeError(f"{key} is no list")  # An object would pass for a list of nobody.
    return {"items": [row(r) for r in data[key]], "next": None if following is None else str(following)}


def key(value):
    if value is None:
        raise ValueError("no id")  # str(None) would be a user called None.
    return str(value)


def user(m):
    states = {"enabled": "active", "invited": "pending", "suspended": "disabled"}
    return {"id": key(m["id"]), "email": m["mail"], "name": m["full_name"], "role": m["level"],
            "standing": states.get(m["state"], m["state"])}


def answer(call, about):
    if call == "ledgers":
        return page("/companies", about["cursor"], "companies", lambda c: {"id": key(c["id"]), "name": c["title"]})
    if call == "access":
        return page(f"/companies/{about['ledger']}/members", about["cursor"], "members", user, about["ledger"])
    company = get(f"/companies/{about['ledger']}")["company"]  # profile
    return {"name": company["title"], "currency": company["currency"], "year_end": company["year_end"]}


question = json.loads(sys.stdin.readline())
print(json.dumps({"result": answer(question["call"], question["about"])}), flush=True)
