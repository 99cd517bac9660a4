import type { Answer, CallOptions, Client, Done, OnceOptions } from './client.ts'
import type { OpenedUser, Transaction, User } from './answers.ts'
import { at } from './paths.ts'
import type { ListTransactions, ListUsers, OpenUserRequest, UserUpdate } from './requests.ts'

/** What can be done with users. */
export interface Users {
  create(body: OpenUserRequest, options?: OnceOptions): Promise<Done<'user', OpenedUser>>
  get(id: number, options?: CallOptions): Promise<Answer<'user', User>>
  update(
    id: number,
    body: UserUpdate,
    options?: CallOptions & { readonly actor?: string },
  ): Promise<Answer<'user', User>>
  /** Users, newest first. */
  list(filter?: ListUsers, options?: CallOptions): AsyncGenerator<User>
  /** Entries of the ledger of a user, newest payment first. */
  transactions(
    id: number,
    filter?: ListTransactions,
    options?: CallOptions,
  ): AsyncGenerator<Transaction>
}

export function usersOf(client: Client): Users {
  return {
    create: (body, options) => client.once('user', '/users', body, options),
    get: async (id, options) => client.read('user', at`/users/${id}`, options),
    update: async (id, body, options) => client.change('user', at`/users/${id}`, body, options),
    list: (filter = {}, options) => client.pages('/users', filter, options),
    async *transactions(id, filter = {}, options) {
      yield* client.pages<Transaction>(at`/users/${id}/transactions`, filter, options)
    },
  }
}
