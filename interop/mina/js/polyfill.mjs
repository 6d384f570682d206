// Must be imported first: js-libp2p expects this of Node 22, and Node 20 does not have it.
Promise.withResolvers ??= function () {
  let resolve, reject
  const promise = new this((...functions) => ([resolve, reject] = functions))
  return { promise, resolve, reject }
}
