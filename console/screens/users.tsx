import { useFeed } from '../app/feed.ts'
import { filter, go, route } from '../app/router.ts'
import type { Page, User } from '../app/shapes.ts'
import { hrefOf } from '../exact/route.ts'
import { Empty, Money, When } from '../parts/basics.tsx'
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
  function find(event: SubmitEvent): void {
    event.preventDefault()
    const typed = String(new FormData(event.target as HTMLFormElement).get('user') ?? '').trim()
    if (/^\d+$/.test(typed)) go(hrefOf('users', typed))
    else filter({ external_id: typed, cursor: '' })
  }
  return (
    <ScreenFrame title={w.screens.users}>
      <form class="filters" role="search" onSubmit={find} aria-label={w.findUser}>
        <input
          name="user"
          placeholder={w.findUser}
          aria-label={w.findUser}
          defaultValue={query['external_id'] ?? ''}
          autocomplete="off"
        />
        <button type="submit">{w.find}</button>
      </form>
      <LeftOut feed={feed} />
      <Loaded feed={feed}>
        {(page) =>
          page.data.length === 0 ? (
            <Empty title={query['external_id'] === undefined ? w.noUsers : w.nothingFound}>
              <Command
                text={`curl -X POST ${location.origin}/api/v1/users -H 'Content-Type: application/json' -d '{"balance": 1000}'`}
              />
            </Empty>
          ) : (
            <List page={page} />
          )
        }
      </Loaded>
    </ScreenFrame>
  )
}

function List({ page }: { page: Page<User> }) {
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
        {page.data.map((user) => (
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
      <Pages cursor={route.value.query['cursor']} next={page.next_cursor} />
    </>
  )
}
