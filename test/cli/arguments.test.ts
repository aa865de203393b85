import { describe, expect, it } from 'vitest'
import { parseDapArguments, parseRunArguments } from '../../src/cli/arguments.ts'
import { debugExitStatus, UsageError } from '../../src/cli/exit-status.ts'
import { ConfigurationError } from '../../src/machine/configuration.ts'

describe('the arguments of run', () => {
  it('are all understood', () => {
    const args = parseRunArguments(
      'kernel --initrd ram.cpio --cmdline console=ttyS0 --memory 1G --cpus 2 --timeout 1.5 --until login: --stats s.json'
        .split(' ')
        .concat('--no-reboot', '--save', 'a', '--save-at', '1000', '--restore', 'b', '--protocol', 'flat', '--rng'),
    )
    expect(args).toEqual({
      image: 'kernel',
      initrd: 'ram.cpio',
      cmdline: 'console=ttyS0',
      protocol: 'flat',
      memory: 2 ** 30,
      cpus: 2,
      timeout: 1.5,
      until: 'login:',
      stats: 's.json',
      reboot: false,
      save: 'a',
      saveAt: 1000,
      restore: 'b',
      devices: [{ kind: 'entropy', transport: 'pci', packed: false }],
    })
  })

  it('have defaults for everything but the image', () => {
    expect(parseRunArguments(['kernel'])).toMatchObject({ image: 'kernel', reboot: true, memory: undefined })
    expect(() => parseRunArguments([])).toThrow('run: which image?')
    expect(() => parseRunArguments(['a', 'b'])).toThrow(UsageError)
  })

  it('are refused with a reason where they make no sense', () => {
    expect(() => parseRunArguments(['k', '--frobnicate'])).toThrow(UsageError)
    expect(() => parseRunArguments(['k', '--memory', 'lots'])).toThrow('--memory "lots" is not a size')
    expect(() => parseRunArguments(['k', '--cpus', '9'])).toThrow('--cpus "9" is not a whole number from 1 to 8')
    expect(() => parseRunArguments(['k', '--cpus', '0'])).toThrow(ConfigurationError)
    expect(() => parseRunArguments(['k', '--timeout', 'soon'])).toThrow('--timeout "soon"')
    expect(() => parseRunArguments(['k', '--until', ''])).toThrow('--until')
    expect(() => parseRunArguments(['k', '--save-at', '5'])).toThrow('needs --save')
  })
})

describe('the options of devices', () => {
  it('may follow an equals sign, and keep their order', () => {
    const { image, devices } = parseRunArguments([
      '--rng=transport=mmio,packed=on',
      '--rng',
      'kernel',
      '--rng=packed=off',
    ])
    expect(image).toBe('kernel')
    expect(devices).toEqual([
      { kind: 'entropy', transport: 'mmio', packed: true },
      { kind: 'entropy', transport: 'pci', packed: false },
      { kind: 'entropy', transport: 'pci', packed: false },
    ])
  })

  it.each([
    ['transport=usb', '--rng: transport=usb is not one of pci, pci-transitional, pci-legacy, mmio'],
    ['packed', '--rng: packed= is not one of on, off'],
    ['packed=on,packed=on', '--rng: "packed" comes twice'],
    ['speed=fast', '--rng: unknown option "speed"'],
    ['transport=pci-legacy,packed=on', 'split rings only'],
  ])('are refused with a reason: %s', (options, message) => {
    expect(() => parseRunArguments(['k', `--rng=${options}`])).toThrow(message)
  })
})

describe('the exit status of a debug exit', () => {
  it('is the value and a one', () => {
    expect([0, 1, 0x10, 0xff].map(debugExitStatus)).toEqual([1, 3, 0x21, 0xff])
  })
})

describe('the arguments of ringside dap', () => {
  it('are none, or a port', () => {
    expect(parseDapArguments([])).toEqual({ port: undefined })
    expect(parseDapArguments(['--port', '4711'])).toEqual({ port: 4711 })
  })

  it.each(['--port 65536', '--port any', '--port', '--host 0.0.0.0', 'kernel'])('are refused: %s', text => {
    expect(() => parseDapArguments(text.split(' '))).toThrow(/--port|dap: /)
  })
})
