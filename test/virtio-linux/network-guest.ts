/** What scenarios with a network have in common: the driver, and busybox's DHCP client with a script of its own. */

import type { CpioEntry } from '../linux/cpio.ts'

export const NETWORK_MODULES = ['virtio_pci', 'virtio_mmio', 'virtio_net']

/** Configures the interface as udhcpc tells by its environment (busybox, examples/udhcp/simple.script). */
const DHCP_SCRIPT = `#!/bin/sh
case "$1" in
  deconfig) ip addr flush dev "$interface"; ip link set "$interface" up ;;
  bound|renew)
    ip addr add "$ip/$mask" dev "$interface"
    for gateway in $router; do ip route add default via "$gateway"; done
    : > /etc/resolv.conf
    for server in $dns; do echo "nameserver $server" >> /etc/resolv.conf; done ;;
esac
`

export const NETWORK_FILES: readonly CpioEntry[] = [
  { kind: 'directory', path: 'etc' },
  { kind: 'file', path: 'etc/udhcpc.script', data: Buffer.from(DHCP_SCRIPT), executable: true },
]

/** Shell commands: the loopback and the card, with an address by DHCP. */
export const BRING_UP = `
ip link set lo up
udhcpc -i eth0 -q -n -t 5 -s /etc/udhcpc.script > /tmp/dhcp 2>&1 || result dhcp failed: $(cat /tmp/dhcp)
`
