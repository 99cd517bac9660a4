"""Checks the documents of the YAML file it is given against the schemas of the versions of
Kubernetes behind it, and prints them as JSON. An unknown field is an error."""

import json
import sys

import kubernetes_validate
import yaml

path, *versions = sys.argv[1:]
with open(path, encoding="utf-8") as file:
    documents = [document for document in yaml.safe_load_all(file) if document]
for document in documents:
    for version in versions:
        kubernetes_validate.validate(document, version, strict=True)
print(json.dumps(documents))
