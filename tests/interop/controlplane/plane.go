package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
)

// Node is the identity under which the proxy gets its snapshot.
const Node = "interop"

// Protocol is a variant of ADS.
type Protocol string

// The two variants.
const (
	StateOfTheWorld Protocol = "GRPC"
	Delta           Protocol = "DELTA_GRPC"
)

// Plane is the control plane: a snapshot cache behind an ADS server that can be stopped and started again on its port.
type Plane struct {
	Port     int
	cache    cache.SnapshotCache
	grpc     *grpc.Server
	versions map[types.ResponseType]int
	current  map[types.ResponseType][]types.Resource

	mutex sync.Mutex
	nacks []*status.Status
}

// NewPlane starts a control plane without resources.
func NewPlane() (*Plane, error) {
	plane := &Plane{
		cache:    cache.NewSnapshotCache(true, cache.IDHash{}, nil),
		versions: map[types.ResponseType]int{},
		current:  map[types.ResponseType][]types.Resource{},
	}
	return plane, plane.Start()
}

// Start listens; the first time on a free port, later on the same.
func (p *Plane) Start() error {
	var listener net.Listener
	err := Eventually(5*time.Second, func() (err error) {
		listener, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p.Port))
		return err
	})
	if err != nil {
		return err
	}
	p.Port = listener.Addr().(*net.TCPAddr).Port
	callbacks := server.CallbackFuncs{
		StreamRequestFunc: func(_ int64, request *discovery.DiscoveryRequest) error {
			p.note(request.GetErrorDetail())
			return nil
		},
		StreamDeltaRequestFunc: func(_ int64, request *discovery.DeltaDiscoveryRequest) error {
			p.note(request.GetErrorDetail())
			return nil
		},
	}
	p.grpc = grpc.NewServer()
	discovery.RegisterAggregatedDiscoveryServiceServer(p.grpc, server.NewServer(context.Background(), p.cache, callbacks))
	go func(running *grpc.Server) { _ = running.Serve(listener) }(p.grpc)
	return nil
}

// Stop ends all streams.
func (p *Plane) Stop() { p.grpc.Stop() }

func (p *Plane) note(detail *status.Status) {
	if detail != nil {
		p.mutex.Lock()
		defer p.mutex.Unlock()
		p.nacks = append(p.nacks, detail)
	}
}

// Nacked gives the messages of all rejections and forgets them.
func (p *Plane) Nacked() []string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	var texts []string
	for _, detail := range p.nacks {
		texts = append(texts, detail.GetMessage())
	}
	p.nacks = nil
	return texts
}

// ExpectNack waits for a rejection whose message has all the words.
func (p *Plane) ExpectNack(limit time.Duration, words ...string) error {
	var all []string
	return Eventually(limit, func() error {
		all = append(all, p.Nacked()...)
		for _, text := range all {
			missing := false
			for _, word := range words {
				missing = missing || !strings.Contains(text, word)
			}
			if !missing {
				return nil
			}
		}
		return fmt.Errorf("no rejection names %q; there were %q", words, all)
	})
}

// Set replaces the resources of one type, which alone gets a new version.
func (p *Plane) Set(kind types.ResponseType, resources ...types.Resource) error {
	p.versions[kind]++
	p.current[kind] = resources
	snapshot := &cache.Snapshot{}
	for kind, resources := range p.current {
		snapshot.Resources[kind] = cache.NewResources(fmt.Sprintf("v%d", p.versions[kind]), resources)
	}
	return p.cache.SetSnapshot(context.Background(), Node, snapshot)
}

// ADS is the config source that means "over the same stream".
func ADS() *core.ConfigSource {
	return &core.ConfigSource{
		ResourceApiVersion:    core.ApiVersion_V3,
		ConfigSourceSpecifier: &core.ConfigSource_Ads{Ads: &core.AggregatedConfigSource{}},
	}
}

// Bootstrap of the proxy under test.
func Bootstrap(protocol Protocol, plane, admin int) string {
	return fmt.Sprintf(`
node: { id: %s, cluster: interop }
admin: { address: { socket_address: { address: 127.0.0.1, port_value: %d } } }
dynamic_resources:
  ads_config:
    api_type: %s
    transport_api_version: V3
    grpc_services: [{ envoy_grpc: { cluster_name: plane } }]
  cds_config: { ads: {}, resource_api_version: V3 }
  lds_config: { ads: {}, resource_api_version: V3 }
static_resources:
  clusters:
  - name: plane
    type: STATIC
    connect_timeout: 1s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: { http2_protocol_options: {} }
    load_assignment:
      cluster_name: plane
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: %d } } } }] }]
`, Node, admin, protocol, plane)
}
