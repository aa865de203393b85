/** The page of the memory picture: asks the extension for maps, and draws what it answers. */

import { render } from 'preact'
import { useMemo, useState } from 'preact/hooks'
import { connectPage, pageRoot } from '../pages/page-api.ts'
import {
  type Choice,
  type HostMessage,
  isHostMessage,
  MOST_PORTIONS,
  type PageMessage,
  type PageState,
  type PictureBody,
  parseState,
} from './messages.ts'
import { eptPieces, rangeItems } from './picture-model.ts'
import { RangeDetails } from './range-details.tsx'
import { contains, matches } from './range-filter.ts'
import { Differences, RangeTable, summaryOf } from './range-table.tsx'
import { Strips } from './strips.tsx'

const page = connectPage<PageMessage, HostMessage>(isHostMessage)
const START: PageState = { space: '', base: '', portions: 1, filter: '' }

function Page() {
  const [state, setState] = useState<PageState>(parseState(page.saved()) ?? START)
  const [status, setStatus] = useState('')
  const [picture, setPicture] = useState<PictureBody>()
  const [found, setFound] = useState<{ readonly expression: string; readonly address: bigint }>()
  const [selected, select] = useState<string>()

  const change = (next: PageState): void => {
    setState(next)
    page.save(next)
  }
  const ask = (next: PageState): void => {
    change(next)
    const { space, base, portions } = next
    page.send({ type: 'show', space, base, portions })
  }
  page.useMessages(message => {
    switch (message.type) {
      case 'stopped':
        return ask(state)
      case 'running':
        return setStatus('The guest is running; this was the last stop.')
      case 'ended':
        setPicture(undefined)
        setFound(undefined)
        return setStatus('No guest is being debugged.')
      case 'failed':
        return setStatus(message.message)
      case 'remembered':
        return ask({ ...state, base: message.base })
      case 'found':
        return show(message.expression, BigInt(message.address))
      case 'picture':
        setStatus('')
        return setPicture(message.picture)
    }
  })

  const all = useMemo(() => (picture === undefined ? [] : rangeItems(picture.guest, picture.differences)), [picture])
  const address = found?.expression === state.filter.trim() ? found.address : undefined
  const items = useMemo(() => all.filter(item => matches(item, state.filter, address)), [all, state.filter, address])
  const frames = useMemo(() => (picture?.ept === undefined ? [] : eptPieces(picture.ept)), [picture])
  const item = items.find(({ key }) => key === selected)

  const show = (expression: string, at: bigint): void => {
    setFound({ expression, address: at })
    const range = all.find(each => contains(each, at))
    if (range === undefined) setStatus(`${expression} is 0x${at.toString(16)}, which is not mapped.`)
    else select(range.key)
  }
  const go = (at: bigint): void => {
    const range = all.find(each => contains(each, at))
    if (range === undefined) return
    if (!items.includes(range)) change({ ...state, filter: '' })
    select(range.key)
  }

  return (
    <>
      <Controls state={state} picture={picture} change={change} ask={ask} />
      <p id="status" role="status" aria-live="polite">
        {status}
      </p>
      {picture === undefined ? undefined : (
        <main>
          <p id="summary">{summaryOf(items)}</p>
          <Strips
            cr3={picture.cr3}
            items={items}
            areas={picture.areas}
            ept={picture.ept}
            selected={item}
            next={state.portions < MOST_PORTIONS ? picture.guest.next : undefined}
            select={({ key }) => select(key)}
            more={() => ask({ ...state, portions: state.portions + 1 })}
          />
          {item === undefined ? undefined : (
            <RangeDetails
              item={item}
              prefix={picture.current ? '' : `cr3=${picture.cr3}:`}
              frames={frames}
              send={message => page.send(message)}
            />
          )}
          <Compared state={state} picture={picture} go={go} />
          <RangeTable items={items} selected={item} select={({ key }) => select(key)} />
        </main>
      )}
    </>
  )
}

interface ControlsProps {
  readonly state: PageState
  readonly picture: PictureBody | undefined
  change(state: PageState): void
  ask(state: PageState): void
}

function Controls({ state, picture, change, ask }: ControlsProps) {
  const [space, setSpace] = useState(state.space)
  const filter = state.filter.trim()
  return (
    <form
      id="controls"
      onSubmit={event => {
        event.preventDefault()
        if (space !== state.space) ask({ ...state, space, portions: 1 })
        if (filter !== '') page.send({ type: 'find', expression: filter })
      }}
    >
      <label for="space">Address space</label>
      <input
        id="space"
        type="text"
        list="spaces"
        spellcheck={false}
        autocomplete="off"
        placeholder="current; a CR3 or $cr3"
        value={space}
        onInput={event => setSpace(event.currentTarget.value)}
        onChange={event => ask({ ...state, space: event.currentTarget.value, portions: 1 })}
      />
      <datalist id="spaces">
        <Options choices={picture?.spaces.filter(({ value }) => value !== '') ?? []} />
      </datalist>
      <label for="base">Compared with</label>
      <select id="base" value={state.base} onChange={event => ask({ ...state, base: event.currentTarget.value })}>
        <Options choices={withChosen(picture?.bases ?? [{ value: '', label: 'nothing' }], state.base)} />
      </select>
      <label for="filter">Filter</label>
      <input
        id="filter"
        type="search"
        spellcheck={false}
        autocomplete="off"
        placeholder=".text, rwx, user, 0x1000; Enter: $rsp, a symbol"
        value={state.filter}
        onInput={event => change({ ...state, filter: event.currentTarget.value })}
      />
      <span class="buttons">
        <button type="submit">Show</button>
        <button
          type="button"
          id="remember"
          disabled={picture === undefined}
          onClick={() => page.send({ type: 'remember' })}
        >
          Remember this map
        </button>
      </span>
    </form>
  )
}

const Options = ({ choices }: { choices: readonly Choice[] }) => (
  <>
    {choices.map(({ value, label }) => (
      <option key={value} value={value}>
        {label}
      </option>
    ))}
  </>
)

/** A base of an earlier session is still chosen, though there is nothing to compare with. */
const withChosen = (choices: readonly Choice[], chosen: string): readonly Choice[] =>
  choices.some(({ value }) => value === chosen) ? choices : [...choices, { value: chosen, label: 'a map that is gone' }]

interface ComparedProps {
  readonly state: PageState
  readonly picture: PictureBody
  go(address: bigint): void
}

function Compared({ state, picture: { differences }, go }: ComparedProps) {
  if (differences !== undefined) return <Differences differences={differences} go={go} />
  return state.base === '' ? null : (
    <p class="faint">There is no map to compare with yet: it is that of the next stop.</p>
  )
}

render(<Page />, pageRoot())
