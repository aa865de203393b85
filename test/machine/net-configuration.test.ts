import { describe, expect, test } from 'vitest'
import { ConfigurationError } from '../../src/machine/configuration-error.ts'
import { DEFAULT_MAC, parseNet } from '../../src/machine/net-configuration.ts'

describe('--net', () => {
  test('none is no network', () => {
    expect(parseNet('none')).toBeUndefined()
  })

  test('user alone lets nothing out and nothing in', () => {
    expect(parseNet('user')).toEqual({
      kind: 'net',
      mac: DEFAULT_MAC,
      user: { access: { outside: false, host: false, allow: [] }, forwards: [] },
      tap: undefined,
      transport: 'pci',
      packed: false,
    })
  })

  test('options say what may leave and what leads in; some may come several times', () => {
    const text = 'user,outside=on,host=on,allow=tcp:80,allow=udp:53,forward=tcp:2222:22,forward=udp:0:69,packed=on'
    expect(parseNet(`${text},mac=02:00:00:00:00:0A,transport=mmio`)).toEqual({
      kind: 'net',
      mac: 0x0200_0000_000a,
      user: {
        access: {
          outside: true,
          host: true,
          allow: [
            { transport: 'tcp', port: 80 },
            { transport: 'udp', port: 53 },
          ],
        },
        forwards: [
          { transport: 'tcp', hostPort: 2222, guestPort: 22 },
          { transport: 'udp', hostPort: 0, guestPort: 69 },
        ],
      },
      tap: undefined,
      transport: 'mmio',
      packed: true,
    })
  })

  test('a tap is a device of the host', () => {
    expect(parseNet('tap=/dev/tap4000,mac=02:00:00:00:00:01')).toMatchObject({ user: undefined, tap: '/dev/tap4000' })
  })

  test.each([
    ['', 'there are user'],
    ['tap', 'there are user and tap=DEVICE'],
    ['tap=/dev/tap4,forward=tcp:1:2', 'belong to user'],
    ['tap=/dev/tap4,host=on', 'unknown option "host"'],
    ['none,host=on', 'there are user'],
    ['user,forward=tcp:22', 'forward=tcp:2222:22'],
    ['user,forward=sctp:1:2', 'forward=tcp:2222:22'],
    ['user,forward=tcp:2222:0', 'not a port from 1'],
    ['user,forward=tcp:70000:22', 'not a port from 0'],
    ['user,allow=8080', 'allow=tcp:8080'],
    ['user,allow=tcp:0', 'not a port from 1'],
    ['user,outside=yes', 'on, off'],
    ['user,mac=ff:ff:ff:ff:ff:ff', 'not the address of a station'],
    ['user,mac=1', 'not the address of a station'],
    ['user,bridge', 'unknown option "bridge"'],
    ['user,host=on,host=on', 'comes twice'],
    [`user${',allow=tcp:80'.repeat(65)}`, 'at most 64 times'],
  ])('%s is refused with what is possible', (text, message) => {
    expect(() => parseNet(text)).toThrow(ConfigurationError)
    expect(() => parseNet(text)).toThrow(message)
  })
})
