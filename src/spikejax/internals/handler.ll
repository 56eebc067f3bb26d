; How XLA calls kernels: a handler of its foreign function interface, compiled once, for all kernels. It finds the kernel
; in a table by its key, and shares the tiles of neurons out among XLA's threads.
;
; XLA instantiates a call when it makes an executable, and drops the state of the call together with the executable: in
; between, the kernel has one user more. A kernel is replaced by another one only while it has no users.
;
; The structures are those of xla/ffi/api/c_api.h, version 0.3, up to the last field used. XLA asks a handler for the
; version it was written for, and refuses to register it once it has left that one behind.

@major = external constant i32                ; of the version
@minor = external constant i32

declare ptr @malloc(i64)
declare ptr @calloc(i64, i64)
declare void @free(ptr)

%Version = type { i64, ptr, i32, i32 }                 ; size, extension, major, minor
%Metadata = type { i64, %Version, i32, i64 }           ; size, version, traits, type of the state
%Extension = type { i64, i32, ptr, ptr }               ; size, type, next, metadata
%Api = type { i64, ptr, %Version, ptr, [18 x ptr] }    ; size, extension, version, internals, functions
%Error = type { i64, ptr, ptr }                        ; size, extension, error
%Message = type { i64, ptr, ptr, i32 }                 ; size, extension, text, code
%Threads = type { i64, ptr, ptr, ptr }                 ; size, extension, context, where the number goes
%Schedule = type { i64, ptr, ptr, ptr, ptr }           ; size, extension, context, function, its argument
%State = type { i64, ptr, ptr, i32, ptr, ptr }         ; size, extension, context, stage, type, state
%Type = type { i64, ptr, ptr }                         ; size, extension, what drops a state
%Scalar = type { i32, ptr }                            ; dtype, data
%Buffers = type { i64, ptr, i64, ptr, ptr }            ; size, extension, count, types, buffers
%Buffer = type { i64, ptr, i32, ptr }                  ; size, extension, dtype, data, ...
%Attributes = type { i64, ptr, i64, ptr, ptr, ptr }    ; size, extension, count, types, names, values
; size, extension, api, context, stage, arguments, results, attributes
%Frame = type { i64, ptr, ptr, ptr, i32, %Buffers, %Buffers, %Attributes }

; A kernel, as `Record` in table.py has it. Users are -1 while it is being replaced.
%Kernel = type { i64, i64, ptr, i64, i64, i64, i64 }   ; key, users, tile, reads, writes, tiles, helpers

; What the threads of a call share: the next tile, the number of tiles done, and that of threads that may still look. A
; helper may start after all is done, even after the kernel was replaced, so whoever looks last frees it, and it holds
; all that is looked at.
%Work = type { i64, i64, i64, ptr, i64, ptr }          ; next, done, users, arrays, tiles, tile

@table = global ptr null
@count = global i64 0
@state.type = global i64 0                             ; XLA gives it a number
@state = constant %Type { i64 24, ptr null, ptr @release }
@missing = private constant [101 x i8] c"this program calls a spikejax kernel that was freed, or that another process compiled: lower it anew\00"

; Memory for the table. It is never given back: XLA may drop executables after Python is gone.
define ptr @open(i64 %capacity) {
  %size = ptrtoint ptr getelementptr (%Kernel, ptr null, i32 1) to i64
  %table = call ptr @calloc(i64 %capacity, i64 %size)
  store ptr %table, ptr @table
  ret ptr %table
}

; True if the kernel had no users; then it is the caller's to replace.
define i1 @claim(ptr %kernel) {
  %users.at = getelementptr %Kernel, ptr %kernel, i32 0, i32 1
  %pair = cmpxchg ptr %users.at, i64 0, i64 -1 seq_cst seq_cst
  %claimed = extractvalue { i64, i1 } %pair, 1
  ret i1 %claimed
}

; Makes what was written into the table, of `count` kernels by now, known to the handler.
define void @publish(ptr %kernel, i64 %count) {
  %users.at = getelementptr %Kernel, ptr %kernel, i32 0, i32 1
  store atomic i64 0, ptr %users.at seq_cst, align 8
  store atomic i64 %count, ptr @count seq_cst, align 8
  ret void
}

; Gives the kernel of a call a user, which is the state of the call.
define ptr @instantiate(ptr %frame) {
  %asked = call i1 @describe(ptr %frame, i1 true)
  br i1 %asked, label %told, label %search

told:
  ret ptr null

search:
  %attributes.at = getelementptr %Frame, ptr %frame, i32 0, i32 7, i32 5
  %attributes = load ptr, ptr %attributes.at
  %scalar = load ptr, ptr %attributes
  %data.at = getelementptr %Scalar, ptr %scalar, i32 0, i32 1
  %data = load ptr, ptr %data.at
  %key = load i64, ptr %data
  %table = load ptr, ptr @table
  %count = load atomic i64, ptr @count seq_cst, align 8
  br label %next

next:
  %i = phi i64 [ 0, %search ], [ %i.next, %other ], [ %i.next, %replaced ]
  %more = icmp ult i64 %i, %count
  br i1 %more, label %look, label %none

look:
  %i.next = add i64 %i, 1
  %kernel = getelementptr %Kernel, ptr %table, i64 %i
  %key.at = getelementptr %Kernel, ptr %kernel, i32 0, i32 0
  %users.at = getelementptr %Kernel, ptr %kernel, i32 0, i32 1
  br label %hold

hold:
  %users = load atomic i64, ptr %users.at seq_cst, align 8
  %key.now = load atomic i64, ptr %key.at seq_cst, align 8
  %same = icmp eq i64 %key, %key.now
  %free = icmp sge i64 %users, 0
  %fits = and i1 %same, %free
  br i1 %fits, label %add, label %other

other:
  br label %next

add:
  %users.more = add i64 %users, 1
  %pair = cmpxchg ptr %users.at, i64 %users, i64 %users.more seq_cst seq_cst
  %added = extractvalue { i64, i1 } %pair, 1
  br i1 %added, label %check, label %hold

check:
  %key.then = load atomic i64, ptr %key.at seq_cst, align 8
  %still = icmp eq i64 %key, %key.then
  br i1 %still, label %set, label %replaced

replaced:
  call void @release(ptr %kernel)
  br label %next

set:
  %context = call ptr @context(ptr %frame)
  %request = alloca %State
  store %State { i64 48, ptr null, ptr null, i32 0, ptr @state.type, ptr null }, ptr %request
  %context.at = getelementptr %State, ptr %request, i32 0, i32 2
  %state.at = getelementptr %State, ptr %request, i32 0, i32 5
  store ptr %context, ptr %context.at
  store ptr %kernel, ptr %state.at
  %set.state = call ptr @function(ptr %frame, i32 7)
  %refused = call ptr %set.state(ptr %request)
  %kept = icmp eq ptr %refused, null
  br i1 %kept, label %done, label %drop

drop:
  call void @release(ptr %kernel)
  ret ptr %refused

done:
  ret ptr null

none:
  %message = alloca %Message
  store %Message { i64 28, ptr null, ptr @missing, i32 9 }, ptr %message
  %make.error = call ptr @function(ptr %frame, i32 0)
  %error = call ptr %make.error(ptr %message)
  ret ptr %error
}

; One user less.
define void @release(ptr %kernel) {
  %users.at = getelementptr %Kernel, ptr %kernel, i32 0, i32 1
  %before = atomicrmw sub ptr %users.at, i64 1 seq_cst
  ret void
}

; Runs the kernel that is the state of the call.
define ptr @execute(ptr %frame) {
  %asked = call i1 @describe(ptr %frame, i1 false)
  br i1 %asked, label %told, label %get

told:
  ret ptr null

get:
  %context = call ptr @context(ptr %frame)
  %request = alloca %State
  store %State { i64 48, ptr null, ptr null, i32 0, ptr @state.type, ptr null }, ptr %request
  %context.at = getelementptr %State, ptr %request, i32 0, i32 2
  store ptr %context, ptr %context.at
  %get.state = call ptr @function(ptr %frame, i32 8)
  %refused = call ptr %get.state(ptr %request)
  %kept = icmp eq ptr %refused, null
  br i1 %kept, label %run, label %stop

stop:
  ret ptr %refused

run:
  %state.at = getelementptr %State, ptr %request, i32 0, i32 5
  %kernel = load ptr, ptr %state.at
  %reads = call i64 @number(ptr %kernel, i32 3)
  %writes = call i64 @number(ptr %kernel, i32 4)
  %tiles = call i64 @number(ptr %kernel, i32 5)
  %helpers = call i64 @number(ptr %kernel, i32 6)
  %tile = call ptr @tile(ptr %kernel)
  %arrays.count = add i64 %reads, %writes
  %arrays = alloca ptr, i64 %arrays.count
  %arguments = getelementptr %Frame, ptr %frame, i32 0, i32 5
  %results = getelementptr %Frame, ptr %frame, i32 0, i32 6
  %of.results = getelementptr ptr, ptr %arrays, i64 %reads
  call void @gather(ptr %arguments, i64 %reads, ptr %arrays)
  call void @gather(ptr %results, i64 %writes, ptr %of.results)
  %together = icmp sgt i64 %helpers, 0
  br i1 %together, label %share, label %next

share:
  call void @share(ptr %frame, ptr %kernel, ptr %arrays)
  ret ptr null

next:
  %number = phi i64 [ 0, %run ], [ %number.next, %do ]
  %more = icmp ult i64 %number, %tiles
  br i1 %more, label %do, label %done

do:
  call void %tile(ptr %arrays, i64 %number)
  %number.next = add i64 %number, 1
  br label %next

done:
  fence seq_cst ; what was written past the caches is there
  ret ptr null
}

; True if XLA asks what the handler is, which is then told.
define private i1 @describe(ptr %frame, i1 %stateful) {
  %extension.at = getelementptr %Frame, ptr %frame, i32 0, i32 1
  %extension = load ptr, ptr %extension.at
  %extended = icmp ne ptr %extension, null
  br i1 %extended, label %look, label %no

look:
  %type.at = getelementptr %Extension, ptr %extension, i32 0, i32 1
  %type = load i32, ptr %type.at
  %is.metadata = icmp eq i32 %type, 1
  br i1 %is.metadata, label %tell, label %no

tell:
  %metadata.at = getelementptr %Extension, ptr %extension, i32 0, i32 3
  %metadata = load ptr, ptr %metadata.at
  %major.at = getelementptr %Metadata, ptr %metadata, i32 0, i32 1, i32 2
  %minor.at = getelementptr %Metadata, ptr %metadata, i32 0, i32 1, i32 3
  %major = load i32, ptr @major
  %minor = load i32, ptr @minor
  store i32 %major, ptr %major.at
  store i32 %minor, ptr %minor.at
  br i1 %stateful, label %tell.type, label %yes

tell.type:
  %state.at = getelementptr %Metadata, ptr %metadata, i32 0, i32 3
  %state = load i64, ptr @state.type
  store i64 %state, ptr %state.at
  br label %yes

yes:
  ret i1 true

no:
  ret i1 false
}

define private i64 @number(ptr %kernel, i32 %field) {
  %numbers = getelementptr i64, ptr %kernel, i32 %field ; all fields are 8 bytes
  %number = load i64, ptr %numbers
  ret i64 %number
}

define private ptr @tile(ptr %kernel) {
  %tile.at = getelementptr %Kernel, ptr %kernel, i32 0, i32 2
  %tile = load ptr, ptr %tile.at
  ret ptr %tile
}

; Where the data of buffers lies.
define private void @gather(ptr %buffers, i64 %count, ptr %arrays) {
  %list.at = getelementptr %Buffers, ptr %buffers, i32 0, i32 4
  %list = load ptr, ptr %list.at
  br label %next

next:
  %i = phi i64 [ 0, %0 ], [ %i.next, %do ]
  %more = icmp ult i64 %i, %count
  br i1 %more, label %do, label %done

do:
  %buffer.at = getelementptr ptr, ptr %list, i64 %i
  %buffer = load ptr, ptr %buffer.at
  %data.at = getelementptr %Buffer, ptr %buffer, i32 0, i32 3
  %data = load ptr, ptr %data.at
  %to = getelementptr ptr, ptr %arrays, i64 %i
  store ptr %data, ptr %to
  %i.next = add i64 %i, 1
  br label %next

done:
  ret void
}

; All tiles, by this thread and those of XLA's that come to help.
define private void @share(ptr %frame, ptr %kernel, ptr %arrays) {
  %threads = call i64 @threads(ptr %frame)
  %others = sub i64 %threads, 1
  %most = call i64 @number(ptr %kernel, i32 6)
  %fewer = call i64 @llvm.smin.i64(i64 %others, i64 %most)
  %helpers = call i64 @llvm.smax.i64(i64 %fewer, i64 0)
  %users = add i64 %helpers, 1
  %size = ptrtoint ptr getelementptr (%Work, ptr null, i32 1) to i64
  %work = call ptr @malloc(i64 %size)
  %next.at = getelementptr %Work, ptr %work, i32 0, i32 0
  %done.at = getelementptr %Work, ptr %work, i32 0, i32 1
  %users.at = getelementptr %Work, ptr %work, i32 0, i32 2
  %arrays.at = getelementptr %Work, ptr %work, i32 0, i32 3
  store i64 0, ptr %next.at
  store i64 0, ptr %done.at
  store i64 %users, ptr %users.at
  store ptr %arrays, ptr %arrays.at
  %tiles.at = getelementptr %Work, ptr %work, i32 0, i32 4
  %tile.at = getelementptr %Work, ptr %work, i32 0, i32 5
  %tiles = call i64 @number(ptr %kernel, i32 5)
  %tile = call ptr @tile(ptr %kernel)
  store i64 %tiles, ptr %tiles.at
  store ptr %tile, ptr %tile.at
  br label %next

next:
  %i = phi i64 [ 0, %0 ], [ %i.next, %do ]
  %more = icmp slt i64 %i, %helpers
  br i1 %more, label %do, label %started

do:
  call void @start(ptr %frame, ptr %work)
  %i.next = add i64 %i, 1
  br label %next

started:
  call void @work(ptr %work)
  br label %wait

wait:
  %finished = load atomic i64, ptr %done.at seq_cst, align 8
  %all = icmp eq i64 %finished, %tiles
  br i1 %all, label %done, label %wait

done:
  call void @leave(ptr %work)
  ret void
}

; Tiles until none is left.
define private void @work(ptr %work) {
  %tiles.at = getelementptr %Work, ptr %work, i32 0, i32 4
  %tile.at = getelementptr %Work, ptr %work, i32 0, i32 5
  %tiles = load i64, ptr %tiles.at
  %tile = load ptr, ptr %tile.at
  %next.at = getelementptr %Work, ptr %work, i32 0, i32 0
  %done.at = getelementptr %Work, ptr %work, i32 0, i32 1
  %arrays.at = getelementptr %Work, ptr %work, i32 0, i32 3
  br label %next

next:
  %number = atomicrmw add ptr %next.at, i64 1 seq_cst
  %more = icmp ult i64 %number, %tiles
  br i1 %more, label %do, label %done

do:
  %arrays = load ptr, ptr %arrays.at
  call void %tile(ptr %arrays, i64 %number)
  fence seq_cst ; what was written past the caches is there
  %before = atomicrmw add ptr %done.at, i64 1 seq_cst
  br label %next

done:
  ret void
}

; What a helper does.
define private void @help(ptr %work) {
  call void @work(ptr %work)
  call void @leave(ptr %work)
  ret void
}

define private void @leave(ptr %work) {
  %users.at = getelementptr %Work, ptr %work, i32 0, i32 2
  %before = atomicrmw sub ptr %users.at, i64 1 seq_cst
  %last = icmp eq i64 %before, 1
  br i1 %last, label %drop, label %done

drop:
  call void @free(ptr %work)
  ret void

done:
  ret void
}

; Number of XLA's threads; 1 where it has none to lend.
define private i64 @threads(ptr %frame) {
  %number = alloca i64
  store i64 1, ptr %number
  %context = call ptr @context(ptr %frame)
  %request = alloca %Threads
  store %Threads { i64 32, ptr null, ptr null, ptr null }, ptr %request
  %context.at = getelementptr %Threads, ptr %request, i32 0, i32 2
  %number.at = getelementptr %Threads, ptr %request, i32 0, i32 3
  store ptr %context, ptr %context.at
  store ptr %number, ptr %number.at
  %refused = call i1 @ask(ptr %frame, i32 12, ptr %request)
  %found = load i64, ptr %number
  %threads = select i1 %refused, i64 1, i64 %found
  ret i64 %threads
}

; Asks XLA for a helper; where it has none, there is one user less.
define private void @start(ptr %frame, ptr %work) {
  %context = call ptr @context(ptr %frame)
  %request = alloca %Schedule
  store %Schedule { i64 40, ptr null, ptr null, ptr @help, ptr null }, ptr %request
  %context.at = getelementptr %Schedule, ptr %request, i32 0, i32 2
  %work.at = getelementptr %Schedule, ptr %request, i32 0, i32 4
  store ptr %context, ptr %context.at
  store ptr %work, ptr %work.at
  %refused = call i1 @ask(ptr %frame, i32 11, ptr %request)
  br i1 %refused, label %without, label %done

without:
  call void @leave(ptr %work)
  ret void

done:
  ret void
}

define private ptr @context(ptr %frame) {
  %context.at = getelementptr %Frame, ptr %frame, i32 0, i32 3
  %context = load ptr, ptr %context.at
  ret ptr %context
}

; A function of XLA, by its number.
define private ptr @function(ptr %frame, i32 %number) {
  %api.at = getelementptr %Frame, ptr %frame, i32 0, i32 2
  %api = load ptr, ptr %api.at
  %function.at = getelementptr %Api, ptr %api, i32 0, i32 4, i32 %number
  %function = load ptr, ptr %function.at
  ret ptr %function
}

; True if a function of XLA, by its number, refuses.
define private i1 @ask(ptr %frame, i32 %number, ptr %request) {
  %function = call ptr @function(ptr %frame, i32 %number)
  %error = call ptr %function(ptr %request)
  %refused = icmp ne ptr %error, null
  br i1 %refused, label %drop, label %done

drop:
  %destroy = call ptr @function(ptr %frame, i32 2)
  %dropped = alloca %Error
  store %Error { i64 24, ptr null, ptr null }, ptr %dropped
  %error.at = getelementptr %Error, ptr %dropped, i32 0, i32 2
  store ptr %error, ptr %error.at
  call void %destroy(ptr %dropped)
  ret i1 true

done:
  ret i1 false
}

declare i64 @llvm.smin.i64(i64, i64)
declare i64 @llvm.smax.i64(i64, i64)
