"""Reads requests to /v1/traces, one JSON text a line in the file it is given, with the official
definitions of OTLP, and prints the spans as JSON. An unknown field is an error."""

import base64
import json
import sys

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

IDS = ("traceId", "spanId", "parentSpanId")


def base64_ids(value):
    """In the JSON of OTLP ids are hexadecimal, where that of protobuf has base64."""
    if isinstance(value, list):
        return [base64_ids(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64encode(bytes.fromhex(one)).decode() if key in IDS else base64_ids(one)
        for key, one in value.items()
    }


spans = []
for line in open(sys.argv[1], encoding="utf8"):
    request = trace_service_pb2.ExportTraceServiceRequest()
    json_format.ParseDict(base64_ids(json.loads(line)), request)
    # To bytes and back, as a collector gets it from others.
    again = trace_service_pb2.ExportTraceServiceRequest.FromString(request.SerializeToString())
    for resource in again.resource_spans:
        about = {one.key: one.value.string_value for one in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                spans.append(
                    {
                        "role": about["payments.role"],
                        "service": about["service.name"],
                        "name": span.name,
                        "kind": trace_pb2.Span.SpanKind.Name(span.kind),
                        "trace": span.trace_id.hex(),
                        "span": span.span_id.hex(),
                        "parent": span.parent_span_id.hex(),
                        "links": [one.span_id.hex() for one in span.links],
                        "ends": span.end_time_unix_nano >= span.start_time_unix_nano > 0,
                    }
                )
print(json.dumps(spans))
