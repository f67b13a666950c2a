package main

import (
	"fmt"
	"net"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
)

// steps takes the proxy through what a control plane does to it, under load.
func steps(judge *Judge, protocol Protocol, kind string, plane *Plane, world *World, updates int) {
	check := func(name string, problem error) { judge.Check(protocol, name, problem) }
	all := Rule{"/", "first"}
	// Envoy's messages do not always name the resource, and a cluster that warms anew waits 15 s for endpoints it was sent before.
	named, patience := func(name string) string { return name }, 5*time.Second
	if kind == "envoy" {
		named, patience = func(string) string { return "" }, 25*time.Second
	}

	check("resources can be set", firstOf(
		plane.Set(types.Cluster, Cluster("first", time.Second)),
		plane.Set(types.Endpoint, Endpoints("first", world.A)),
		plane.Set(types.Route, Routes("routes", "0", all)),
		plane.Set(types.Listener, Listener("main", world.Main, "routes", "main")),
	))
	if problem := world.Expect(world.Main, "/", Answer{Status: 200, Body: "a", Version: "0"}); problem != nil {
		check("the first resources arrive", problem)
		return
	}
	check("the first resources arrive", nil)
	check("nothing was rejected", noneOf(plane.Nacked()))

	world.Load()
	defer world.StopLoad()
	var problem error
	for number := 1; number <= updates && problem == nil; number++ {
		problem = plane.Set(types.Route, Routes("routes", fmt.Sprint(number), all))
		time.Sleep(4 * time.Millisecond)
	}
	check("route updates can be set", problem)
	check("the last route update arrives", world.Expect(world.Main, "/", Answer{Status: 200, Version: fmt.Sprint(updates)}))
	check(fmt.Sprintf("%d route updates lose no request", updates), world.Lost(500))

	check("an endpoint is replaced", firstOf(
		plane.Set(types.Endpoint, Endpoints("first", world.B)),
		world.Expect(world.Main, "/", Answer{Status: 200, Body: "b"})))
	check("an endpoint is added", firstOf(
		plane.Set(types.Endpoint, Endpoints("first", world.A, world.B)),
		world.Expect(world.Main, "/", Answer{Status: 200, Body: "a"}),
		world.Expect(world.Main, "/", Answer{Status: 200, Body: "b"})))
	check("an endpoint is removed", firstOf(
		plane.Set(types.Endpoint, Endpoints("first", world.A)),
		settled(), world.Expect(world.Main, "/", Answer{Status: 200, Body: "a"})))
	check("endpoint changes lose no request", world.Lost(5))

	two := []Rule{{"/second", "second"}, all}
	check("a cluster is added, then a route to it", firstOf(
		plane.Set(types.Endpoint, Endpoints("first", world.A), Endpoints("second", world.B)),
		plane.Set(types.Cluster, Cluster("first", time.Second), Cluster("second", time.Second)),
		plane.Set(types.Route, Routes("routes", "two", two...)),
		world.Expect(world.Main, "/second", Answer{Status: 200, Body: "b", Version: "two"})))
	// The endpoints come again, as a management server that follows the protocol sends them for a cluster that warms anew.
	check("a cluster is changed", firstOf(
		plane.Set(types.Cluster, Cluster("first", 2*time.Second), Cluster("second", time.Second)),
		plane.Set(types.Endpoint, Endpoints("first", world.A), Endpoints("second", world.B)),
		settled(), world.Expect(world.Main, "/", Answer{Status: 200, Body: "a"})))
	check("a route is removed, then its cluster", firstOf(
		plane.Set(types.Route, Routes("routes", "one", all)),
		world.Expect(world.Main, "/second", Answer{Status: 200, Body: "a", Version: "one"}),
		plane.Set(types.Cluster, Cluster("first", 2*time.Second)),
		plane.Set(types.Endpoint, Endpoints("first", world.A)),
		settled()))
	check("cluster changes lose no request", world.Lost(20))

	main := Listener("main", world.Main, "routes", "main")
	check("a listener is added", firstOf(
		plane.Set(types.Listener, main, Listener("extra", world.Extra, "routes", "extra")),
		world.Expect(world.Extra, "/", Answer{Status: 200, Body: "a"})))
	check("a listener is removed", firstOf(
		plane.Set(types.Listener, main),
		Eventually(10*time.Second, func() error { return refused(world.Extra) })))
	check("a listener is changed", firstOf(
		plane.Set(types.Listener, Listener("main", world.Main, "other-routes", "changed")),
		plane.Set(types.Route, Routes("other-routes", "other", all)),
		world.Expect(world.Main, "/", Answer{Status: 200, Version: "other"})))
	check("a listener is changed back", firstOf(
		plane.Set(types.Route, Routes("routes", "back", all)),
		plane.Set(types.Listener, main),
		world.Expect(world.Main, "/", Answer{Status: 200, Version: "back"})))
	check("listener changes lose no request", world.Lost(20))
	check("nothing good was rejected", noneOf(plane.Nacked()))
	warming(check, protocol, plane, world)
	addresses(check, plane, world, patience)
	rotation(check, protocol, plane, world, named, patience)

	check("a bad route is rejected with its name", firstOf(plane.Set(types.Route, BadRoutes("routes")), plane.ExpectNack(patience, named("routes"))))
	check("the last good route stays", world.Expect(world.Main, "/", Answer{Status: 200, Version: "back"}))
	check("a good route is taken after it", firstOf(
		plane.Set(types.Route, Routes("routes", "good", all)),
		world.Expect(world.Main, "/", Answer{Status: 200, Version: "good"})))
	check("a bad cluster is rejected with its name", firstOf(
		plane.Set(types.Endpoint, Endpoints("first", world.A), Endpoints("beside", world.B)),
		plane.Set(types.Cluster, Cluster("first", 2*time.Second), BadCluster("broken"), Cluster("beside", time.Second)),
		plane.ExpectNack(patience, named("broken"))))
	check("the good cluster beside it is taken", firstOf(
		plane.Set(types.Route, Routes("routes", "beside", Rule{"/beside", "beside"}, all)),
		world.Expect(world.Main, "/beside", Answer{Status: 200, Body: "b", Version: "beside"})))
	check("rejected updates lose no request", world.Lost(20))

	plane.Stop()
	time.Sleep(300 * time.Millisecond)
	check("traffic goes on without a control plane", world.Lost(20))
	check("the control plane comes back", plane.Start())
	check("an update after it arrives", firstOf(
		plane.Set(types.Cluster, Cluster("first", 2*time.Second), Cluster("beside", time.Second)),
		plane.Set(types.Route, Routes("routes", "after", all)),
		Eventually(40*time.Second, func() error { return world.Expect(world.Main, "/", Answer{Status: 200, Version: "after"}) })))
	check("a control plane that goes and comes loses no request", world.Lost(20))
}

// warming lets things come late: they wait, the dump shows it, and nobody else notices.
func warming(check func(string, error), protocol Protocol, plane *Plane, world *World) {
	first, late := Cluster("first", 2*time.Second), Cluster("late", time.Second)
	if protocol == StateOfTheWorld {
		// Incrementally go-control-plane says at once that there are none, so that nothing is waited for.
		check("a cluster warms until its endpoints come, and the dump shows it", firstOf(
			plane.Set(types.Cluster, first, late),
			world.ExpectDump("dynamic_warming_clusters", "late")))
	}
	check("it serves when they come", firstOf(
		plane.Set(types.Endpoint, Endpoints("first", world.A), Endpoints("late", world.B)),
		plane.Set(types.Cluster, first, late),
		plane.Set(types.Route, Routes("routes", "late", Rule{"/late", "late"}, Rule{"/", "first"})),
		world.Expect(world.Main, "/late", Answer{Status: 200, Body: "b", Version: "late"})))
	main := Listener("main", world.Main, "routes", "main")
	check("a listener warms until its routes come, and the dump shows it", firstOf(
		plane.Set(types.Listener, main, Listener("extra", world.Extra, "late-routes", "extra")),
		world.ExpectDump("dynamic_listeners", "warming_state")))
	check("it serves when they come, too", firstOf(
		plane.Set(types.Route, Routes("routes", "late", Rule{"/", "first"}), Routes("late-routes", "much-later", Rule{"/", "late"})),
		world.Expect(world.Extra, "/", Answer{Status: 200, Body: "b", Version: "much-later"})))
	check("both go again", firstOf(
		plane.Set(types.Listener, main),
		plane.Set(types.Route, Routes("routes", "back", Rule{"/", "first"})),
		world.Expect(world.Main, "/", Answer{Status: 200, Version: "back"}),
		plane.Set(types.Cluster, first),
		plane.Set(types.Endpoint, Endpoints("first", world.A)),
		settled()))
	check("what warms costs no request", world.Lost(20))
	check("nothing that warmed was rejected", noneOf(plane.Nacked()))
}

// addresses asks for what cannot be had.
func addresses(check func(string, error), plane *Plane, world *World, patience time.Duration) {
	main := Listener("main", world.Main, "routes", "main")
	check("a second listener on an address is rejected with its name", firstOf(
		plane.Set(types.Listener, main, Listener("twin", world.Main, "routes", "twin")),
		plane.ExpectNack(patience, "twin", "duplicate address")))
	taken, problem := net.Listen("tcp", "127.0.0.1:0")
	if problem != nil {
		check("a port can be taken", problem)
		return
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	check("a listener whose port is taken is rejected with its name", firstOf(
		plane.Set(types.Listener, main, Listener("unlucky", port, "routes", "unlucky")),
		plane.ExpectNack(patience, "unlucky", "cannot bind")))
	check("the good listener stays", firstOf(
		plane.Set(types.Listener, main),
		settled(), world.Expect(world.Main, "/", Answer{Status: 200, Version: "back"}), noneAfter(plane)))
	check("rejected listeners cost no request", world.Lost(20))
}

// noneAfter forgets the rejections that were wanted.
func noneAfter(plane *Plane) error {
	_ = plane.Nacked()
	return nil
}

// settled waits a moment for an update whose effect no answer shows.
func settled() error {
	time.Sleep(200 * time.Millisecond)
	return nil
}

func firstOf(problems ...error) error {
	for _, problem := range problems {
		if problem != nil {
			return problem
		}
	}
	return nil
}

func noneOf(texts []string) error {
	if len(texts) > 0 {
		return fmt.Errorf("rejected: %q", texts)
	}
	return nil
}

func refused(port int) error {
	connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil
	}
	_ = connection.Close()
	return fmt.Errorf("port %d still accepts", port)
}
