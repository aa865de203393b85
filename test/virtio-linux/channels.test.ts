/** Debian's kernel with its own drivers of virtio consoles, the balloon and 9P. */

import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DapClient } from '../../scripts/dap-client.ts'
import { serve } from '../../src/adapter/server.ts'
import { launch } from '../../src/debugger/launch.ts'
import { BOOT_LIMIT, resultsIn, SCENARIO_CMDLINE, SKIP_REASON, virtioLinux } from './guest.ts'

const linux = virtioLinux()
const note = linux === undefined ? ` (skipped: ${SKIP_REASON})` : ''

const TRANSPORTS = [
  ['modern PCI', ''],
  ['modern PCI, packed rings', ',packed=on'],
  ['legacy PCI', ',transport=pci-legacy'],
  ['MMIO', ',transport=mmio'],
] as const

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

describe.skipIf(linux === undefined)(`channels between Debian and its host${note}`, () => {
  let scratch: string
  beforeAll(() => {
    scratch = mkdtempSync(join(tmpdir(), 'ringside-channels-'))
  })
  afterAll(() => rmSync(scratch, { recursive: true }))

  test.each(TRANSPORTS)('console and named port by %s', { timeout: BOOT_LIMIT }, async (_name, options) => {
    const file = join(scratch, `console${options}`.replaceAll(/[,=]/g, '-'))
    const run = await linux?.run({
      modules: ['virtio_pci', 'virtio_mmio', 'virtio_console'],
      script: `
        i=0; while [ $i -lt 50 ] && ! [ -e /sys/class/virtio-ports/vport*p1/name ]; do i=$((i+1)); usleep 100000; done
        for port in /sys/class/virtio-ports/*; do result "$(basename $port) [$(cat $port/name)]"; done
        echo "hello from hvc0" > /dev/hvc0
        number=$(ls /sys/class/virtio-ports | grep p1)
        mdev -s
        seq 1 20000 > /dev/$number
        sleep 1`,
      options: ['--console', `${file},port=channel${options}`],
    })
    expect(run?.results.map(line => line.replace(/vport\d/, 'vport'))).toEqual([
      'vportp0 []',
      'vportp1 [channel]',
      'end',
    ])
    expect(readFileSync(file, 'latin1')).toMatch(/^hello from hvc0\r?\n$/)
    const numbers = Array.from({ length: 20_000 }, (_, i) => `${i + 1}\n`).join('')
    expect(readFileSync(`${file}.channel`, 'latin1')).toBe(numbers)
  })

  test.each(TRANSPORTS)('the balloon by %s takes memory away', { timeout: BOOT_LIMIT }, async (_name, options) => {
    const run = await linux?.run({
      modules: ['virtio_pci', 'virtio_mmio', 'virtio_balloon'],
      script: 'sleep 3; result $(grep -E "balloon_(in|de)flate" /proc/vmstat)',
      options: [`--balloon=size=64M${options}`],
    })
    expect(run?.results).toEqual(['balloon_inflate 16384 balloon_deflate 0', 'end'])
  })

  test.each(TRANSPORTS)('a shared folder by %s', { timeout: BOOT_LIMIT }, async (_name, options) => {
    const folder = join(scratch, `share${options}`.replaceAll(/[,=]/g, '-'))
    mkdirSync(join(folder, 'inside'), { recursive: true })
    const content = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7) & 0xff))
    writeFileSync(join(folder, 'inside/data'), content)
    const mount = 'mkdir -p /mnt; mount -t 9p -o trans=virtio,version=9p2000.L share /mnt || result no mount'
    const run = await linux?.run({
      modules: ['virtio_pci', 'virtio_mmio', '9pnet_virtio', '9p'],
      script: `${mount}
        result $(sha256sum < /mnt/inside/data)
        result $(ls /mnt /mnt/inside | tr '\\n' ' ')
        dd if=/mnt/inside/data of=/mnt/copy bs=10000 2>/dev/null
        mkdir /mnt/made; echo text > /mnt/made/new; echo more >> /mnt/made/new; mv /mnt/made /mnt/moved
        ln -s /etc/passwd /mnt/link; rm /mnt/inside/data
        ls /mnt/link/.. > /dev/null 2>&1 && result followed
        umount /mnt; ${mount}
        result $(cat /mnt/moved/new | tr '\\n' ' ')
        sync`,
      options: ['--share', `${folder},writable${options}`],
    })
    expect(run?.results).toEqual([`${sha256(content)} -`, '/mnt: inside /mnt/inside: data', 'text more', 'end'])
    expect(sha256(readFileSync(join(folder, 'copy')))).toBe(sha256(content))
    expect(readFileSync(join(folder, 'moved/new'), 'utf8')).toBe('text\nmore\n')
    expect(existsSync(join(folder, 'inside/data'))).toBe(false)
  })

  test('a shared folder that is not writable stays as it is', { timeout: BOOT_LIMIT }, async () => {
    const folder = join(scratch, 'read-only')
    mkdirSync(folder)
    writeFileSync(join(folder, 'file'), 'here')
    const run = await linux?.run({
      modules: ['virtio_pci', '9pnet_virtio', '9p'],
      script: `mkdir -p /mnt; mount -t 9p -o trans=virtio,version=9p2000.L,ro host /mnt || mount -t 9p -o trans=virtio,version=9p2000.L host /mnt
        result $(cat /mnt/file)
        mount -o remount,rw /mnt
        (echo changed > /mnt/file) 2>/dev/null || result refused
        (rm /mnt/file) 2>/dev/null || result refused
        (touch /mnt/new) 2>/dev/null || result refused`,
      options: ['--share', `${folder},tag=host`],
    })
    expect(run?.results).toEqual(['here', 'refused', 'refused', 'refused', 'end'])
    expect(readFileSync(join(folder, 'file'), 'utf8')).toBe('here')
  })

  test('the balloon is deflated again, and hvc0 typed at, while a debugger watches', {
    timeout: BOOT_LIMIT,
  }, async () => {
    if (linux === undefined) throw new Error(SKIP_REASON)
    const initrd = join(scratch, 'watched.gz')
    const script = `
      pages() { grep -E "balloon_$1" /proc/vmstat | cut -d' ' -f2; }
      while [ "$(pages inflate)" -lt 8192 ]; do usleep 50000; done
      result given $(pages inflate)
      while [ "$(pages deflate)" -lt 8192 ]; do usleep 50000; done
      result back $(pages deflate)
      echo ready > /dev/hvc0; read word < /dev/hvc0; result typed $word`
    const modules = ['virtio_pci', 'virtio_balloon', 'virtio_console']
    writeFileSync(initrd, linux.initramfs({ modules, script }))
    const client = DapClient.connect((input, output) => void serve(input, output, launch))
    const args = { program: linux.image, initrd, cmdline: SCENARIO_CMDLINE, memory: '256M' }
    await client.launch({ ...args, balloon: 'size=32M', virtioConsole: true })
    await client.request('configurationDone')
    const shown = async (text: string) => {
      while (!(client.output.stdout ?? '').includes(text)) await client.event('output')
    }
    await shown('given 8192')
    expect(await client.request('ringside/balloon', { size: 0 })).toEqual({ size: 2 ** 25, target: 0 })
    await shown('back 8192')
    expect(await client.request('ringside/balloon')).toEqual({ size: 0, target: 0 })
    await shown('ready')
    await client.request('ringside/consoleInput', { text: 'hello\n', console: 'virtio' })
    await client.event('exited')
    expect(resultsIn(client.output.stdout ?? '')).toEqual(['given 8192', 'back 8192', 'typed hello', 'end'])
    await client.close()
  })
})
