; How XLA calls a kernel: a handler of its foreign function interface, which shares the tiles of neurons out among
; XLA's threads. A kernel's own module defines what is declared here; linked, they are compiled as one.
;
; The structures are those of xla/ffi/api/c_api.h, version 0.3, up to the last field used. XLA asks a handler for the
; version it was written for, and refuses it once it has left that one behind.

declare void @tile(ptr %arrays, i64 %number)  ; takes one tile of neurons through the kernel
@given = external constant i64                ; number of arrays that it reads, the first ones
@wanted = external constant i64               ; number of arrays that it writes
@tiles = external constant i64                ; number of tiles
@helpers = external constant i64              ; most threads that may join the one that is called

declare ptr @malloc(i64)
declare void @free(ptr)

%Version = type { i64, ptr, i32, i32 }                 ; size, extension, major, minor
%Metadata = type { i64, %Version }                     ; size, version, ...
%Extension = type { i64, i32, ptr, ptr }               ; size, type, next, metadata
%Api = type { i64, ptr, %Version, ptr, [18 x ptr] }    ; size, extension, version, internals, functions
%Error = type { i64, ptr, ptr }                        ; size, extension, error
%Threads = type { i64, ptr, ptr, ptr }                 ; size, extension, context, where the number goes
%Schedule = type { i64, ptr, ptr, ptr, ptr }           ; size, extension, context, function, its argument
%Buffers = type { i64, ptr, i64, ptr, ptr }            ; size, extension, count, types, buffers
%Buffer = type { i64, ptr, i32, ptr }                  ; size, extension, dtype, data, ...
%Frame = type { i64, ptr, ptr, ptr, i32, %Buffers, %Buffers } ; size, extension, api, context, stage, arguments, results

; What the threads of a call share: the next tile, how many are done, and how many threads may still look. A helper may
; start after all is done, so whoever looks last frees it.
%Work = type { i64, i64, i64, ptr }                    ; next, done, users, arrays

define ptr @handler(ptr %frame) {
  %extension.at = getelementptr %Frame, ptr %frame, i32 0, i32 1
  %extension = load ptr, ptr %extension.at
  %extended = icmp ne ptr %extension, null
  br i1 %extended, label %look, label %run

look:
  %type.at = getelementptr %Extension, ptr %extension, i32 0, i32 1
  %type = load i32, ptr %type.at
  %is.metadata = icmp eq i32 %type, 1
  br i1 %is.metadata, label %tell, label %run

tell:
  %metadata.at = getelementptr %Extension, ptr %extension, i32 0, i32 3
  %metadata = load ptr, ptr %metadata.at
  %major = getelementptr %Metadata, ptr %metadata, i32 0, i32 1, i32 2
  %minor = getelementptr %Metadata, ptr %metadata, i32 0, i32 1, i32 3
  store i32 0, ptr %major
  store i32 3, ptr %minor
  ret ptr null

run:
  %given = load i64, ptr @given
  %wanted = load i64, ptr @wanted
  %count = add i64 %given, %wanted
  %arrays = alloca ptr, i64 %count
  %arguments = getelementptr %Frame, ptr %frame, i32 0, i32 5
  %results = getelementptr %Frame, ptr %frame, i32 0, i32 6
  %of.results = getelementptr ptr, ptr %arrays, i64 %given
  call void @gather(ptr %arguments, i64 %given, ptr %arrays)
  call void @gather(ptr %results, i64 %wanted, ptr %of.results)
  %helpers = load i64, ptr @helpers
  %together = icmp sgt i64 %helpers, 0
  br i1 %together, label %share, label %alone

share:
  call void @share(ptr %frame, ptr %arrays)
  ret ptr null

alone:
  %tiles = load i64, ptr @tiles
  br label %next

next:
  %number = phi i64 [ 0, %alone ], [ %number.next, %do ]
  %more = icmp ult i64 %number, %tiles
  br i1 %more, label %do, label %done

do:
  call void @tile(ptr %arrays, i64 %number)
  %number.next = add i64 %number, 1
  br label %next

done:
  fence seq_cst ; what was written past the caches is there
  ret ptr null
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
define private void @share(ptr %frame, ptr %arrays) {
  %threads = call i64 @threads(ptr %frame)
  %others = sub i64 %threads, 1
  %most = load i64, ptr @helpers
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
  %tiles = load i64, ptr @tiles
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
  %tiles = load i64, ptr @tiles
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
  call void @tile(ptr %arrays, i64 %number)
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

; Calls a function of XLA, by its number; whether it refused.
define private i1 @ask(ptr %frame, i32 %number, ptr %request) {
  %api.at = getelementptr %Frame, ptr %frame, i32 0, i32 2
  %api = load ptr, ptr %api.at
  %function.at = getelementptr %Api, ptr %api, i32 0, i32 4, i32 %number
  %function = load ptr, ptr %function.at
  %error = call ptr %function(ptr %request)
  %refused = icmp ne ptr %error, null
  br i1 %refused, label %drop, label %done

drop:
  %destroy.at = getelementptr %Api, ptr %api, i32 0, i32 4, i32 2
  %destroy = load ptr, ptr %destroy.at
  %which = alloca %Error
  store %Error { i64 24, ptr null, ptr null }, ptr %which
  %error.at = getelementptr %Error, ptr %which, i32 0, i32 2
  store ptr %error, ptr %error.at
  call void %destroy(ptr %which)
  ret i1 true

done:
  ret i1 false
}

declare i64 @llvm.smin.i64(i64, i64)
declare i64 @llvm.smax.i64(i64, i64)
