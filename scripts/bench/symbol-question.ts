/** One question to a file's symbols, in a process of its own: what `symbols.ts` measures. */

import { readFileSync } from 'node:fs'
import { DebugFile } from '../../src/symbols/dwarf/debug-file.ts'

const [path, question, ...operands] = process.argv.slice(2)
const file = DebugFile.open(path)

function answer(): string {
  switch (question) {
    case 'function':
      return file
        .functionsNamed(operands[0])
        .map(place => `0x${place.bodyAddress.toString(16)} line ${file.lineAt(place.bodyAddress)?.line}`)
        .join('\n')
    case 'line': {
      const found = file.breakpointsAt(operands[0], Number(operands[1]))
      return (found?.places ?? []).map(place => `0x${place.address.toString(16)} line ${place.line}`).join('\n')
    }
    case 'type': {
      const type = file.findType(operands[0])
      if (type?.kind !== 'struct') return 'no structure'
      const members = type.members.map(member => `${member.offset} ${member.type.name} ${member.name ?? ''}`)
      return [`size ${type.size}`, ...members].join('\n')
    }
    case 'enumerator':
      return `${file.findEnumerator(operands[0])?.value ?? 'no enumerator'}`
    case 'variable':
      return file.variableNamed(operands[0])?.name ?? 'no variable'
    default:
      throw new Error(`unknown question ${question}`)
  }
}

console.log(answer())
console.log(/^VmHWM:.*$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[0])
const { user, system } = process.cpuUsage()
console.log(`CPU ${(user + system) / 1e6}`)
