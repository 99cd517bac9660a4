// An endpoint that verifies with the Go library of Standard Webhooks; see receiver.ts for what it
// says.
package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

var (
	lock    sync.Mutex
	seen    = map[string]bool{}
	webhook *standardwebhooks.Webhook
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() { panic(http.Serve(listener, http.HandlerFunc(receive))) }()
	say("port %d", listener.Addr().(*net.TCPAddr).Port)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		next, err := standardwebhooks.NewWebhook(lines.Text())
		if err != nil {
			panic(err)
		}
		lock.Lock()
		webhook = next
		lock.Unlock()
		say("secret")
	}
}

func receive(response http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return
	}
	id := request.Header.Get("webhook-id")
	sum := sha256.Sum256(body)
	digest := hex.EncodeToString(sum[:])
	lock.Lock()
	current := webhook
	lock.Unlock()
	verdict, status := "ok", http.StatusUnauthorized
	if err := current.Verify(body, request.Header); err != nil {
		verdict = "refused"
	} else {
		status = statusFor(id, digest)
	}
	say("%s %s %s %d", verdict, id, digest, status)
	response.WriteHeader(status)
}

func statusFor(id, digest string) int {
	lock.Lock()
	defer lock.Unlock()
	if seen[id] || !strings.HasSuffix(digest, "0") {
		return http.StatusNoContent
	}
	seen[id] = true
	return http.StatusInternalServerError
}

func say(format string, values ...any) {
	lock.Lock()
	defer lock.Unlock()
	fmt.Printf(format+"\n", values...)
}
