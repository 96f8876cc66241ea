// Package deploy holds what is around the server where it is deployed: the unit
// of systemd, the container, proxies. It has no code; its tests try the files.
package deploy
