// Command controlplane drives a proxy over ADS from go-control-plane's snapshot cache and judges what traffic sees.
//
// It is control plane, origins, steady client and judge in one process; the proxy under test is the only other one. Every step
// runs in both protocols, state-of-the-world and incremental.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	proxy := flag.String("proxy", "palanquin", "kind of the proxy: palanquin or envoy")
	binary := flag.String("binary", "", "path of the proxy's binary")
	updates := flag.Int("updates", 1000, "route updates under load")
	flag.Parse()
	judge := &Judge{}
	for _, protocol := range []Protocol{StateOfTheWorld, Delta} {
		if err := run(judge, *proxy, *binary, protocol, *updates); err != nil {
			judge.Check(protocol, "the steps could be run", err)
		}
	}
	fmt.Printf("\n%d passed, %d failed\n", judge.passed, judge.failed)
	if judge.failed > 0 || judge.passed == 0 {
		os.Exit(1)
	}
}

// run starts everything for one protocol, takes the steps, and ends everything.
func run(judge *Judge, kind, binary string, protocol Protocol, updates int) error {
	folder, err := os.MkdirTemp("", "controlplane-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	plane, err := NewPlane()
	if err != nil {
		return err
	}
	defer plane.Stop()
	world, err := NewWorld(plane)
	if err != nil {
		return err
	}
	defer world.Stop()
	process, err := start(kind, binary, folder, Bootstrap(protocol, plane.Port, world.AdminPort))
	if err != nil {
		return err
	}
	defer func() {
		_ = process.Process.Kill()
		_ = process.Wait()
	}()
	steps(judge, protocol, kind, plane, world, updates)
	if log, err := os.ReadFile(filepath.Join(folder, "log")); err == nil && judge.failed > 0 {
		lines := strings.Split(strings.TrimSpace(string(log)), "\n")
		fmt.Printf("the log of %s ends with:\n%s\n", kind, strings.Join(lines[max(0, len(lines)-12):], "\n"))
	}
	return nil
}

func start(kind, binary, folder, bootstrap string) (*exec.Cmd, error) {
	config := filepath.Join(folder, "bootstrap.yaml")
	if err := os.WriteFile(config, []byte(bootstrap), 0o600); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		return nil, err
	}
	arguments := []string{"-c", config, "--concurrency", "2", "-l", "info", "--drain-time-s", "2"}
	if kind == "envoy" {
		arguments = append(arguments, "--disable-hot-restart")
	}
	command := exec.Command(binary, arguments...)
	command.Stdout, command.Stderr = log, log
	return command, command.Start()
}

// Judge counts checks and prints those that fail.
type Judge struct{ passed, failed int }

// Check passes when there is no problem.
func (j *Judge) Check(protocol Protocol, name string, problem error) {
	if problem == nil {
		j.passed++
		return
	}
	j.failed++
	fmt.Printf("FAIL controlplane / %s / %s: %v\n", protocol, name, problem)
}

// Eventually asks until there is no problem, or gives the last one after the limit.
func Eventually(limit time.Duration, ask func() error) error {
	end := time.Now().Add(limit)
	for {
		problem := ask()
		if problem == nil || time.Now().After(end) {
			return problem
		}
		time.Sleep(10 * time.Millisecond)
	}
}
