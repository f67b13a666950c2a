package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// World is what stands around the proxy: two origins, free ports for its listeners, a client.
type World struct {
	A, B        int
	Main, Extra int
	AdminPort   int
	origins     []*http.Server
	client      *http.Client
	ok, failed  atomic.Int64
	problems    sync.Map
	stopLoad    context.CancelFunc
	loading     sync.WaitGroup
}

// NewWorld starts the origins.
func NewWorld(*Plane) (*World, error) {
	w := &World{client: &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	var err error
	if w.A, err = w.origin("a"); err != nil {
		return nil, err
	}
	if w.B, err = w.origin("b"); err != nil {
		return nil, err
	}
	for _, port := range []*int{&w.Main, &w.Extra, &w.AdminPort} {
		if *port, err = freePort(); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// origin answers everything with its name.
func (w *World) origin(name string) (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	server := &http.Server{Handler: http.HandlerFunc(func(writer http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(writer, name)
	})}
	w.origins = append(w.origins, server)
	go func() { _ = server.Serve(listener) }()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// freePort looks below the ephemeral range, so that no outgoing connection takes the port meanwhile.
func freePort() (int, error) {
	for range 1000 {
		port := 10_000 + rand.IntN(22_000)
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return port, listener.Close()
		}
	}
	return 0, fmt.Errorf("no free port")
}

// Stop ends load and origins.
func (w *World) Stop() {
	w.StopLoad()
	for _, server := range w.origins {
		_ = server.Close()
	}
}

// Answer is what one request showed.
type Answer struct {
	Status  int
	Body    string
	Version string
}

// Get asks once.
func (w *World) Get(port int, path string) (Answer, error) {
	response, err := w.client.Get(fmt.Sprintf("http://127.0.0.1:%d%s", port, path))
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return Answer{response.StatusCode, string(body), response.Header.Get("x-version")}, err
}

// Expect waits until an answer is as wanted; empty fields do not count.
func (w *World) Expect(port int, path string, want Answer) error {
	return Eventually(10*time.Second, func() error {
		got, err := w.Get(port, path)
		if err != nil {
			return err
		}
		if want.Status != 0 && got.Status != want.Status || want.Body != "" && got.Body != want.Body || want.Version != "" && got.Version != want.Version {
			return fmt.Errorf("got %+v, wanted %+v", got, want)
		}
		return nil
	})
}

// ExpectDump waits until a list of /config_dump has an entry in which the words occur.
func (w *World) ExpectDump(list, words string) error {
	return Eventually(10*time.Second, func() error {
		got, err := w.Get(w.AdminPort, "/config_dump")
		if err != nil {
			return err
		}
		var dump struct{ Configs []map[string]any }
		if err := json.Unmarshal([]byte(got.Body), &dump); err != nil {
			return err
		}
		for _, section := range dump.Configs {
			if entries, err := json.Marshal(section[list]); err == nil && strings.Contains(string(entries), `"`+words+`"`) {
				return nil
			}
		}
		return fmt.Errorf("%q is not in %s of /config_dump", words, list)
	})
}

// Load asks the main listener 400 times a second, from four connections, until StopLoad.
func (w *World) Load() {
	ctx, cancel := context.WithCancel(context.Background())
	w.stopLoad = cancel
	for range 4 {
		w.loading.Add(1)
		go func() {
			defer w.loading.Done()
			ticker := time.NewTicker(10 * time.Millisecond)
			defer ticker.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-ticker.C:
					answer, err := w.Get(w.Main, "/load")
					if err == nil && answer.Status == 200 {
						w.ok.Add(1)
						continue
					}
					w.failed.Add(1)
					w.problems.Store(fmt.Sprintf("%v %d %.60s", err, answer.Status, answer.Body), true)
				}
			}
		}()
	}
}

// StopLoad ends the load.
func (w *World) StopLoad() {
	if w.stopLoad != nil {
		w.stopLoad()
		w.loading.Wait()
	}
}

// Lost gives what failed under load since the last call; it waits until at least `atLeast` requests were answered since.
func (w *World) Lost(atLeast int64) error {
	for end := time.Now().Add(5 * time.Second); w.ok.Load() < atLeast && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	ok, failed := w.ok.Swap(0), w.failed.Swap(0)
	var texts []string
	w.problems.Range(func(key, _ any) bool {
		texts = append(texts, key.(string))
		w.problems.Delete(key)
		return true
	})
	if failed > 0 {
		return fmt.Errorf("%d of %d requests failed: %q", failed, ok+failed, texts)
	}
	if ok < atLeast {
		return fmt.Errorf("only %d requests were answered, so nothing was proved", ok)
	}
	return nil
}
