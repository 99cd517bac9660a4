import { useEffect, useRef } from 'preact/hooks'
import { useFeed } from '../app/feed.ts'
import { filter, route } from '../app/router.ts'
import type { Page, User } from '../app/shapes.ts'
import { hrefOf, isId } from '../exact/route.ts'
import { Empty, Everywhere, Money, When } from '../parts/basics.tsx'
import { Command } from '../parts/command.tsx'
import { LeftOut, Loaded, ScreenFrame } from '../parts/screen.tsx'
import { Pages, Table } from '../parts/table.tsx'
import { words } from '../words/words.ts'

/** Users, newest first. */
export function Users() {
  const w = words.value
  const { query } = route.value
  const asked = new URLSearchParams({ ...query, limit: '50' })
  const feed = useFeed<Page<User>>(`/users?${asked}`)
  const name = query['external_id'] ?? ''
  // A number may be the id of one user and the external id of another.
  const { data: byId } = useFeed<User>(isId(name) ? `/users/${name}` : null).known.value
  const box = useRef<HTMLInputElement>(null)
  useEffect(() => {
    // The box says what is looked for, also after another link or the way back.
    if (box.current !== null) box.current.value = name
  }, [name])
  function find(event: SubmitEvent): void {
    event.preventDefault()
    const typed = String(new FormData(event.target as HTMLFormElement).get('user') ?? '').trim()
    filter({ external_id: typed, cursor: '' })
  }
  return (
    <ScreenFrame title={w.screens.users}>
      <form class="filters" role="search" onSubmit={find} aria-label={w.findUser}>
        <input
          ref={box}
          name="user"
          placeholder={w.findUser}
          aria-label={w.findUser}
          autocomplete="off"
        />
        <button type="submit">{w.find}</button>
      </form>
      <LeftOut feed={feed} />
      <Loaded feed={feed}>
        {(page) => {
          const users = byId === null ? page.data : [byId, ...page.data.filter(isOther(byId))]
          if (users.length > 0) return <List users={users} next={page.next_cursor} />
          return name === '' ? <None /> : <Unfound name={name} />
        }}
      </Loaded>
    </ScreenFrame>
  )
}

function isOther({ id }: User): (user: User) => boolean {
  return (user) => user.id !== id
}

function None() {
  return (
    <Empty title={words.value.noUsers}>
      <Command
        text={`curl -X POST ${location.origin}/api/v1/users -H 'Content-Type: application/json' -d '{"balance": 1000}'`}
      />
    </Empty>
  )
}

function Unfound({ name }: { name: string }) {
  return (
    <Empty title={words.value.nothingFound}>
      <Everywhere typed={name} />
    </Empty>
  )
}

function List({ users, next }: { users: readonly User[]; next: string | null }) {
  const w = words.value
  return (
    <>
      <Table
        label={w.screens.users}
        columns={[
          [w.user],
          [w.externalId, 'wide'],
          [w.accounts.available, 'number'],
          [w.accounts.held, 'number'],
          [w.opened, 'wide number'],
        ]}
      >
        {users.map((user) => (
          <tr key={user.id}>
            <td>
              <a href={hrefOf('users', user.id)}>{user.id}</a>
            </td>
            <td class="wide clip">{user.external_id}</td>
            <td class="number">
              <Money amount={user.balance} currency={user.currency} />
            </td>
            <td class="number">
              <Money amount={user.held} currency={user.currency} />
            </td>
            <td class="wide number quiet">
              <When at={user.created_at} />
            </td>
          </tr>
        ))}
      </Table>
      <Pages cursor={route.value.query['cursor']} next={next} />
    </>
  )
}
