/** Arguments as they come over the wire, checked field by field: an error names the field and what it should be. */

/** Arguments that a client got wrong. */
export class ArgumentError extends Error {}

export class Fields {
  readonly subject: string
  readonly #values: ReadonlyMap<string, unknown>

  /** @param subject named in messages, such as `launch`. Throws {@link ArgumentError} when `value` is no object. */
  constructor(subject: string, value: unknown) {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw new ArgumentError(`${subject}: arguments must be an object`)
    this.subject = subject
    this.#values = new Map(Object.entries(value))
  }

  get names(): string[] {
    return [...this.#values.keys()]
  }

  string(name: string): string {
    const value = this.optionalString(name)
    if (value === undefined) throw new ArgumentError(`${this.subject}: "${name}" is missing`)
    return value
  }

  optionalString(name: string): string | undefined {
    const value = this.#values.get(name)
    if (value === undefined || typeof value === 'string') return value
    throw this.wrong(name, 'a string')
  }

  boolean(name: string, fallback: boolean): boolean {
    const value = this.#values.get(name) ?? fallback
    if (typeof value === 'boolean') return value
    throw this.wrong(name, 'true or false')
  }

  integer(name: string, range: { least: number; most: number }): number {
    const value = this.optionalInteger(name, range)
    if (value === undefined) throw new ArgumentError(`${this.subject}: "${name}" is missing`)
    return value
  }

  optionalInteger(name: string, range: { least: number; most: number }): number | undefined {
    const value = this.#values.get(name)
    if (value === undefined) return undefined
    if (typeof value === 'number' && Number.isInteger(value) && value >= range.least && value <= range.most)
      return value
    throw this.wrong(name, `an integer from ${range.least} to ${range.most}`)
  }

  oneOf<const T extends string>(name: string, choices: readonly T[], fallback: T): T {
    const value = this.#values.get(name)
    if (value === undefined) return fallback
    const choice = choices.find(candidate => candidate === value)
    if (choice === undefined) throw this.wrong(name, `one of ${choices.join(', ')}`)
    return choice
  }

  strings(name: string): string[] {
    const value = this.#values.get(name) ?? []
    if (Array.isArray(value) && value.every(item => typeof item === 'string')) return value
    throw this.wrong(name, 'a list of strings')
  }

  /** A list of objects, each with its own fields. */
  list(name: string): Fields[] {
    const value = this.#values.get(name) ?? []
    if (!Array.isArray(value)) throw this.wrong(name, 'a list')
    return value.map((item, i) => new Fields(`${this.subject}: "${name}"[${i}]`, item))
  }

  raw(name: string): unknown {
    return this.#values.get(name)
  }

  wrong(name: string, expected: string): ArgumentError {
    return new ArgumentError(`${this.subject}: "${name}" must be ${expected}, not ${shown(this.#values.get(name))}`)
  }
}

/** Of a value that a client made as large or as deep as it liked. */
const LONGEST_SHOWN = 200

function shown(value: unknown): string {
  if (typeof value === 'object' && value !== null) {
    const size = Array.isArray(value) ? value.length : Object.keys(value).length
    if (size > 0) return Array.isArray(value) ? `a list of ${size}` : `an object of ${size}`
  }
  const text = JSON.stringify(value)
  return text === undefined || text.length <= LONGEST_SHOWN ? `${text}` : `${text.slice(0, LONGEST_SHOWN)}…`
}
