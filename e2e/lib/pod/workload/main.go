// A workload for the scenarios in the cluster: servers of HTTP, WebSocket and gRPC as applications are written, and clients
// that keep connections. `workload serve` is the one, `workload use HOST` the other: it ends when its input does, and then
// prints what became of everything as JSON.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	pb "google.golang.org/grpc/interop/grpc_testing"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: workload serve|use …")
		os.Exit(2)
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	switch os.Args[1] {
	case "serve":
		ready := flags.Duration("ready-after", 0, "how long it says that it is not ready")
		_ = flags.Parse(os.Args[2:])
		serve(*ready)
	case "use":
		clients := &clients{results: map[string]*result{}}
		flags.StringVar(&clients.host, "host", "", "the service")
		keepAlive := flags.Int("http", 0, "clients that keep HTTP connections")
		sockets := flags.Int("websockets", 0, "WebSockets")
		streams := flags.Int("streams", 0, "streams of gRPC")
		rate := flags.Int("rate", 0, "connections per second, one request each")
		_ = flags.Parse(os.Args[2:])
		clients.use(*keepAlive, *sockets, *streams, *rate)
	default:
		fmt.Fprintln(os.Stderr, "usage: workload serve|use …")
		os.Exit(2)
	}
}

// ---- the server

func serve(readyAfter time.Duration) {
	name, _ := os.Hostname()
	began := time.Now()
	ending, end := context.WithCancel(context.Background())
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, name) })
	mux.HandleFunc("/ready", func(w http.ResponseWriter, _ *http.Request) {
		if time.Since(began) < readyAfter {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	var sockets sync.WaitGroup
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		socket, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		sockets.Add(1)
		defer sockets.Done()
		over := make(chan struct{})
		defer close(over)
		go func() {
			select {
			case <-ending.Done():
				_ = socket.Close(websocket.StatusGoingAway, "the server ends")
			case <-over:
			}
		}()
		for {
			kind, text, err := socket.Read(context.Background())
			if err != nil || socket.Write(context.Background(), kind, text) != nil {
				return
			}
		}
	})
	var servers []*http.Server
	for _, port := range []string{":8080", ":9000"} {
		server := &http.Server{Addr: port, Handler: mux}
		servers = append(servers, server)
		go func() {
			if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}()
	}
	listener, err := net.Listen("tcp", ":50051")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	calls := grpc.NewServer()
	pb.RegisterTestServiceServer(calls, interop.NewTestServer())
	go func() { _ = calls.Serve(listener) }()

	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM, syscall.SIGINT)
	<-told
	fmt.Println("told to end")
	end()
	patience, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	go calls.GracefulStop()
	for _, server := range servers {
		_ = server.Shutdown(patience)
	}
	sockets.Wait()
	calls.GracefulStop()
	fmt.Println("ended")
}

// ---- the clients

type result struct {
	// Requests, messages, calls or connections that were answered.
	Answered int64 `json:"answered"`
	// Connections that the server ended in order, and that were made anew.
	Moved int64 `json:"moved"`
	// What failed: when it began, in seconds since 1970, and why.
	Failed   []string `json:"failed"`
	Failures int64    `json:"failures"`
	// The longest time between two answers of one client, in milliseconds.
	LongestMs int64 `json:"longest_ms"`
	lock      sync.Mutex
}

type clients struct {
	host    string
	results map[string]*result
	ending  atomic.Bool
}

func (r *result) answered(since time.Time) {
	took := time.Since(since).Milliseconds()
	r.lock.Lock()
	defer r.lock.Unlock()
	r.Answered++
	r.LongestMs = max(r.LongestMs, took)
}

func (r *result) moved() { atomic.AddInt64(&r.Moved, 1) }

// What began then has failed.
func (c *clients) failed(r *result, began time.Time, why error) {
	if c.ending.Load() {
		return
	}
	r.lock.Lock()
	defer r.lock.Unlock()
	r.Failures++
	if len(r.Failed) < 50 {
		r.Failed = append(r.Failed, fmt.Sprintf("%.3f %v", float64(began.UnixMilli())/1000, why))
	}
}

func (c *clients) use(keepAlive, sockets, streams, rate int) {
	start := func(what string, count int, one func(*result, int)) {
		if count == 0 {
			return
		}
		r := &result{Failed: []string{}}
		c.results[what] = r
		for number := range count {
			go one(r, number)
		}
	}
	start("http", keepAlive, c.keep)
	start("websocket", sockets, c.socket)
	start("grpc", streams, c.stream)
	if rate > 0 {
		r := &result{Failed: []string{}}
		c.results["connection"] = r
		go func() {
			for range time.Tick(time.Second / time.Duration(rate)) {
				if c.ending.Load() {
					return
				}
				go c.connect(r)
			}
		}()
	}
	// A line for each second, so that what happens can be seen against what is done.
	over := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(over)
	}()
	tick := time.NewTicker(time.Second)
	for {
		select {
		case <-tick.C:
			c.print()
			continue
		case <-over:
		}
		break
	}
	c.ending.Store(true)
	c.print()
}

func (c *clients) print() {
	for _, r := range c.results {
		r.lock.Lock()
	}
	text, _ := json.Marshal(c.results)
	for _, r := range c.results {
		r.lock.Unlock()
	}
	fmt.Println(string(text))
}

func get(client *http.Client, url string) error {
	answer, err := client.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s %s", answer.Status, answer.Header.Get("server"), strings.TrimSpace(string(text)))
	}
	return nil
}

// A client with a pool of its own. Every fourth one is idle for long between two requests.
func (c *clients) keep(r *result, number int) {
	pool := &http.Transport{IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 2}
	client := &http.Client{Transport: pool, Timeout: 10 * time.Second}
	for !c.ending.Load() {
		began := time.Now()
		if err := get(client, "http://"+c.host+":8080/"); err != nil {
			c.failed(r, began, err)
		} else {
			r.answered(began)
		}
		pause := 500 + rand.Intn(1500)
		if number%4 == 0 {
			pause = 6000 + rand.Intn(4000)
		}
		time.Sleep(time.Duration(pause) * time.Millisecond)
	}
}

func (c *clients) socket(r *result, _ int) {
	for !c.ending.Load() {
		if began, err := c.oneSocket(r); err != nil {
			if status := websocket.CloseStatus(err); status == websocket.StatusGoingAway {
				r.moved()
			} else {
				c.failed(r, began, err)
				time.Sleep(time.Second)
			}
		}
	}
}

// Returns when what has failed began.
func (c *clients) oneSocket(r *result) (time.Time, error) {
	began := time.Now()
	patience, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	socket, _, err := websocket.Dial(patience, "ws://"+c.host+":8080/ws", nil)
	if err != nil {
		return began, err
	}
	defer socket.CloseNow()
	for !c.ending.Load() {
		began = time.Now()
		patience, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		if err = socket.Write(patience, websocket.MessageText, []byte("a message")); err == nil {
			_, _, err = socket.Read(patience)
		}
		cancel()
		if err != nil {
			return began, err
		}
		r.answered(began)
		time.Sleep(time.Duration(300+rand.Intn(400)) * time.Millisecond)
	}
	return began, nil
}

// A channel with one stream after another: messages go to and fro for some seconds each.
func (c *clients) stream(r *result, _ int) {
	channel, err := grpc.NewClient("passthrough:///"+c.host+":50051", grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		c.failed(r, time.Now(), err)
		return
	}
	for !c.ending.Load() {
		if began, err := c.oneStream(r, pb.NewTestServiceClient(channel)); err != nil {
			c.failed(r, began, err)
			time.Sleep(time.Second)
		}
	}
}

// Returns when what has failed began.
func (c *clients) oneStream(r *result, service pb.TestServiceClient) (time.Time, error) {
	began := time.Now()
	patience, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	stream, err := service.FullDuplexCall(patience)
	if err != nil {
		return began, err
	}
	until := time.Now().Add(time.Duration(3000+rand.Intn(3000)) * time.Millisecond)
	for time.Now().Before(until) && !c.ending.Load() {
		began = time.Now()
		asked := &pb.StreamingOutputCallRequest{ResponseParameters: []*pb.ResponseParameters{{Size: 100}}}
		if err := stream.Send(asked); err != nil {
			return began, err
		}
		if _, err := stream.Recv(); err != nil {
			return began, err
		}
		r.answered(began)
		time.Sleep(time.Duration(200+rand.Intn(200)) * time.Millisecond)
	}
	began = time.Now()
	if err := stream.CloseSend(); err != nil {
		return began, err
	}
	if _, err := stream.Recv(); err != nil && err != io.EOF {
		return began, err
	}
	return began, nil
}

// One request over a connection of its own, on a port that the mesh takes for TCP.
func (c *clients) connect(r *result) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	began := time.Now()
	if err := get(client, "http://"+c.host+":9000/"); err != nil {
		c.failed(r, began, err)
	} else {
		r.answered(began)
	}
}
