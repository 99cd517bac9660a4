"""An endpoint that verifies with `standardwebhooks` of PyPI; see receiver.ts for what it says."""

import hashlib
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

lock = threading.Lock()
seen = set()
webhook = None


def say(line):
    with lock:
        print(line, flush=True)


def status_for(message, digest):
    with lock:
        if message in seen or not digest.endswith("0"):
            return 204
        seen.add(message)
        return 500


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        message = self.headers["webhook-id"]
        digest = hashlib.sha256(body).hexdigest()
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            webhook.verify(body, headers)
            verdict, status = "ok", status_for(message, digest)
        except WebhookVerificationError:
            verdict, status = "refused", 401
        say(f"{verdict} {message} {digest} {status}")
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


server = Server(("127.0.0.1", 0), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
say(f"port {server.server_port}")
for line in sys.stdin:
    webhook = Webhook(line.strip())
    say("secret")
