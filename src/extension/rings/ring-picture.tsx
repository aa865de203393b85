/** The rings of a queue as circles of slots, with hands that point to the indexes of driver and device. */

import { useRef, useState } from 'preact/hooks'
import { at, BANDS, extentOf, HAND_RADIUS, type HandPlace, handPlaces, middleOf, piecesOf } from './ring-geometry.ts'
import type { Circle, HandModel, Picture, Segment } from './rings-model.ts'
import { STATE_WORDS, STATES, type State } from './slot-words.ts'

/** Segments that are long enough for a letter, and for the number of their slot beside it. */
const MOST_LETTERS = 64
const MOST_NUMBERS = 16

interface Place {
  readonly circle: number
  readonly segment: number
}

export function RingPicture({ picture, choose }: { picture: Picture; choose(circle: Circle, segment: Segment): void }) {
  const { circles, lines } = picture
  const [focus, setFocus] = useState<Place>({ circle: 0, segment: 0 })
  const placed = placeHands(picture)
  const extent = extentOf(placed.map(({ place }) => place))
  const drawing = useRef<SVGSVGElement>(null)
  const circle = Math.min(focus.circle, circles.length - 1)
  const here: Place = { circle, segment: Math.min(focus.segment, circles[circle].segments.length - 1) }

  /** One slot is in the order of Tab; arrows lead to the others. */
  const move = (event: KeyboardEvent): void => {
    const count = circles[here.circle].segments.length
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key]
    const inward = { PageDown: 1, PageUp: -1 }[event.key]
    const end = { Home: 0, End: count - 1 }[event.key]
    if (step === undefined && inward === undefined && end === undefined) return
    event.preventDefault()
    const next: Place =
      inward === undefined
        ? { ...here, segment: end ?? (here.segment + (step ?? 0) + count) % count }
        : { ...here, circle: Math.max(0, Math.min(circles.length - 1, here.circle + inward)) }
    setFocus(next)
    drawing.current?.querySelector<SVGElement>(`[data-place="${next.circle}-${next.segment}"]`)?.focus()
  }

  return (
    <figure>
      {/* biome-ignore lint/a11y/useSemanticElements: no element of HTML groups within a drawing */}
      <svg
        id="ring"
        ref={drawing}
        viewBox={`${-extent} ${-extent} ${2 * extent} ${2 * extent}`}
        role="group"
        aria-label={`${circles.map(({ text }) => text).join('; ')}. Arrows move between slots, Page Down to the inner ring, Enter opens.`}
        onKeyDown={move}
      >
        <Patterns />
        {circles.map((each, index) => (
          <CircleOf
            key={each.ring}
            circle={each}
            index={index}
            focus={here.circle === index ? here.segment : undefined}
            choose={segment => {
              setFocus({ circle: index, segment: each.segments.indexOf(segment) })
              choose(each, segment)
            }}
          />
        ))}
        <Hands placed={placed} />
        {circles.length === 1 ? (
          <g class="middle">
            {lines.map((line, index) => (
              <text key={line} y={(index - (lines.length - 1) / 2) * 13}>
                {line}
              </text>
            ))}
          </g>
        ) : undefined}
      </svg>
      <Legend picture={picture} />
    </figure>
  )
}

/** Filled by pattern as well as by colour, for those who see none, and for high contrast. */
function Patterns() {
  return (
    <defs>
      <pattern id="available" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
        <rect class="ground available" width="6" height="6" />
        <path class="stroke" d="M0 0V6" />
      </pattern>
      <pattern id="taken" width="5" height="5" patternUnits="userSpaceOnUse">
        <rect class="ground taken" width="5" height="5" />
        <circle class="dot" cx="2.5" cy="2.5" r="0.9" />
      </pattern>
      <pattern id="used" width="5" height="5" patternUnits="userSpaceOnUse">
        <rect class="ground used" width="5" height="5" />
        <path class="stroke" d="M0 2.5H5" />
      </pattern>
    </defs>
  )
}

const fillOf = (state: State): string => (state === 'free' ? 'none' : `url(#${state})`)

function CircleOf({
  circle: { ring, segments },
  index,
  focus,
  choose,
}: {
  circle: Circle
  index: number
  focus: number | undefined
  choose(segment: Segment): void
}) {
  const band = BANDS[index]
  const middle = (band.inner + band.outer) / 2
  const letters = segments.length <= MOST_LETTERS
  const numbers = segments.length <= MOST_NUMBERS && segments.every(({ count }) => count === 1)
  return (
    <g class="circle">
      {segments.map((segment, place) => {
        const { state } = segment
        const pieces = piecesOf(segment.states, place, segments.length, band)
        const [x, y] = at(middle, middleOf(place, segments.length))
        const words = `${ring}, ${segment.text}${segment.faulty ? ', broken' : ''}`
        const letter = state === undefined ? '' : STATE_WORDS[state].letter
        return (
          // biome-ignore lint/a11y/useSemanticElements: no button of HTML stands in a drawing
          <g
            key={segment.first}
            class={`segment${segment.selected ? ' selected' : ''}${segment.faulty ? ' faulty' : ''}`}
            role="button"
            tabindex={focus === place ? 0 : -1}
            aria-label={words}
            aria-pressed={segment.selected}
            data-place={`${index}-${place}`}
            onClick={() => choose(segment)}
            onKeyDown={event => {
              if (event.key !== 'Enter' && event.key !== ' ') return
              event.preventDefault()
              choose(segment)
            }}
          >
            <title>{words}</title>
            {pieces.map(piece => (
              <path key={piece.state} class={piece.state} d={piece.path} fill={fillOf(piece.state)} />
            ))}
            {numbers ? (
              <text class="label" x={x} y={y}>
                {letter === '' ? segment.first : `${segment.first} ${letter}`}
              </text>
            ) : letters && letter !== '' && segments.length <= 32 ? (
              <text class="label" x={x} y={y}>
                {letter}
              </text>
            ) : undefined}
          </g>
        )
      })}
    </g>
  )
}

interface PlacedHand {
  readonly hand: HandModel
  readonly place: HandPlace
}

function placeHands({ hands, circles }: Picture): PlacedHand[] {
  return circles.flatMap(({ segments }, circle) => {
    const own = hands.flatMap(hand => (hand.place?.circle === circle ? [{ hand, at: hand.place }] : []))
    const angles = own.map(({ at }) => ((at.segment + at.within) * 360) / segments.length)
    const places = handPlaces(angles, circle)
    return own.map(({ hand }, index) => ({ hand, place: places[index] }))
  })
}

/** Round ones are the driver's, square ones the device's. What they say stands in the table of indexes. */
function Hands({ placed }: { placed: readonly PlacedHand[] }) {
  return (
    <g class="hands">
      {placed.map(({ hand: { name }, place: { x, y, tip } }) => (
        <path key={name} d={`M${x} ${y}L${tip[0]} ${tip[1]}`} />
      ))}
      {placed.map(({ hand: { sign, name, side, value }, place: { x, y } }) => (
        <g key={name} class={side}>
          <title>{`${name} ${value}`}</title>
          {side === 'driver' ? (
            <circle cx={x} cy={y} r={HAND_RADIUS} />
          ) : (
            <rect x={x - HAND_RADIUS} y={y - HAND_RADIUS} width={2 * HAND_RADIUS} height={2 * HAND_RADIUS} rx="1" />
          )}
          <text x={x} y={y}>
            {sign}
          </text>
        </g>
      ))}
    </g>
  )
}

function Legend({ picture: { circles, lines } }: { picture: Picture }) {
  return (
    <figcaption id="legend">
      <p>
        {STATES.toReversed().map(state => (
          <span key={state} title={STATE_WORDS[state].meaning}>
            <svg viewBox="0 0 14 14" aria-hidden="true">
              <rect class={state} x="0.5" y="0.5" width="13" height="13" fill={fillOf(state)} />
              <text class="label" x="7" y="7.5">
                {STATE_WORDS[state].letter}
              </text>
            </svg>
            {STATE_WORDS[state].name}
          </span>
        ))}
      </p>
      {circles.length === 1 ? undefined : (
        <p class="faint">
          Outside the {circles[0].ring}, inside the {circles[1].ring}: {lines.join(', ')}.
        </p>
      )}
    </figcaption>
  )
}
