import type { ComponentChildren } from 'preact'
import { turn } from '../app/router.ts'
import { words } from '../words/words.ts'
import { Scroll } from './basics.tsx'

/** The head of a column, and how it is set, such as `wide number`; `unseen`: only read out. */
type Column = readonly [name: string, kind?: string]

/** A table whose rows are things; `label` names it to who does not see it. */
export function Table({
  label,
  columns,
  children,
}: {
  label: string
  columns: readonly Column[]
  children: ComponentChildren
}) {
  return (
    <Scroll label={label}>
      <table class="list">
        <thead>
          <tr>
            {columns.map(([name, kind]) => (
              <th key={name} scope="col" class={kind === 'unseen' ? undefined : kind}>
                {kind === 'unseen' ? <span class={kind}>{name}</span> : name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </Scroll>
  )
}

/**
 * The ways to the newest page of a list and to the next older one. `name` is what the address calls
 * where a page begins.
 */
export function Pages(props: {
  cursor: string | undefined
  next: string | null
  name?: 'cursor' | 'offset'
}) {
  const w = words.value
  const { cursor, next, name = 'cursor' } = props
  if (cursor === undefined && next === null) return null
  return (
    <nav class="pages" aria-label={w.pages}>
      {cursor === undefined ? null : (
        <button type="button" onClick={() => turn({ [name]: '' })}>
          {w.newest}
        </button>
      )}
      {next === null ? null : (
        <button type="button" onClick={() => turn({ [name]: next })}>
          {w.older}
        </button>
      )}
    </nav>
  )
}
